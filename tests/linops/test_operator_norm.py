import pytest
import torch

from opnet.linops.dense import Dense
from opnet.linops.diagonal import Diagonal
from opnet.linops.low_rank import LowRank
from opnet.linops.operator_norm import operator_norm


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(400, 400), (300, 400), (400, 300)])
def test_close_above_the_largest_singular_value(shape, seed):
    # The edge of a random matrix' spectrum is crowded: the hardest case, and that of random graphs.
    A = random(*shape, seed=seed)
    norm = float(torch.linalg.matrix_norm(A, 2))
    assert norm <= operator_norm(Dense(A), seed=seed) <= 1.005 * norm


def test_exact_where_the_krylov_space_is_exhausted():
    U, V = random(5000, 3), random(5000, 3, seed=1)
    norm = float(torch.linalg.svdvals(torch.linalg.qr(U).R @ torch.linalg.qr(V).R.T)[0])
    assert operator_norm(LowRank(U, V)) == pytest.approx(norm, rel=1e-12)
    small = random(20, 20)
    assert operator_norm(Dense(small)) == pytest.approx(float(torch.linalg.matrix_norm(small, 2)), rel=1e-12)
    assert operator_norm(Diagonal(torch.zeros(500, dtype=torch.float64))) == 0


def test_float32():
    A = random(200, 200).float()
    assert operator_norm(Dense(A)) == pytest.approx(float(torch.linalg.matrix_norm(A, 2)), rel=5e-3)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="expected a real operator on one axis without a batch"):
        operator_norm(Dense(random(2, 3, 3)))
    with pytest.raises(ValueError, match="expected a real operator"):
        operator_norm(Dense(random(3, 3).to(torch.complex128)))
    with pytest.raises(ValueError, match="steps: expected enough"):
        operator_norm(Dense(random(100, 100)), steps=8)
