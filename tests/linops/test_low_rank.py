import pytest
import torch

from opnet.linops.low_rank import LowRank


def test_applies_its_factors_and_diagonal():
    torch.manual_seed(0)
    U, V, d = torch.randn(5, 2).double(), torch.randn(5, 2).double(), torch.randn(5).double()
    A = LowRank(U, V, d)
    matrix, x = U @ V.T + torch.diag(d), torch.randn(3, 5, 4).double()
    torch.testing.assert_close(A.columns(x), matrix @ x)
    torch.testing.assert_close(A.apply(x.mT), x.mT @ matrix.T)
    torch.testing.assert_close(A.T.columns(x), matrix.T @ x)
    torch.testing.assert_close(A.diagonal(), matrix.diag())


@pytest.mark.parametrize(
    ("U", "V", "d"),
    [
        (torch.ones(3, 2), torch.ones(4, 1), None),
        (torch.ones(3, 2), torch.ones(4, 2), torch.ones(3)),
        (torch.ones(3, 2), torch.ones(3, 2).double(), None),
        (torch.ones(3, 2).long(), torch.ones(3, 2).long(), None),
    ],
)
def test_factors_must_fit(U, V, d):
    with pytest.raises(ValueError, match="expected"):
        LowRank(U, V, d)
