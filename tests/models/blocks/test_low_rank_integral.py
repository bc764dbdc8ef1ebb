import pytest
import torch

from opnet.models.blocks.low_rank_integral import LowRankIntegral

WIDTH, BATCH = 3, 2


@pytest.mark.parametrize("samples", [1, BATCH])
def test_the_low_rank_integral_is_its_definition(samples):
    torch.manual_seed(0)
    integral = LowRankIntegral(WIDTH, 2, 4, (6,)).double()
    v, seen, w = (torch.rand(shape, dtype=torch.float64) for shape in ((9, BATCH, WIDTH), (9, samples, 2), (9,)))
    output = integral(v, seen, w)
    for sample in range(BATCH):
        phi, psi = (net(seen[:, sample % samples]).unflatten(-1, (4, WIDTH)) for net in (integral.phi, integral.psi))
        kappa = torch.einsum("xjo,yjc->xyoc", phi, psi)
        assert torch.allclose(output[:, sample], torch.einsum("y,xyoc,yc->xo", w, kappa, v[:, sample]))
        assert int(torch.linalg.matrix_rank(kappa.permute(0, 2, 1, 3).reshape(27, 27))) == 4
