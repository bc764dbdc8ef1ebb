import pytest
import torch
from torch.nn.functional import conv1d, conv2d, conv3d, pad

from opnet.models.blocks.stencil import StencilConvolution, padding_of
from opnet.spaces.grid import Grid

CONVOLUTIONS = [conv1d, conv2d, conv3d]


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("kind", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("stride", [1, 2])
def test_it_is_the_convolution_of_the_padded_field(dim, kind, stride):
    S = StencilConvolution(2, 3, dim, stride).double()
    v = torch.randn(2, 2, *(5, 6, 4)[:dim], dtype=torch.float64)
    padded = pad(v, (1, 1) * dim, mode="constant" if kind == "zeros" else kind)
    expected = CONVOLUTIONS[dim - 1](padded, S.weight, stride=stride)
    assert torch.allclose(S(v, ((kind, kind),) * dim), expected)


def test_sides_differ():
    S = StencilConvolution(1, 1, 2).double()
    v = torch.randn(1, 1, 4, 5, dtype=torch.float64)
    padded = pad(pad(v, (1, 1, 0, 0), mode="circular"), (0, 0, 1, 0))
    padded = torch.cat([padded, padded[:, :, -2:-1]], 2)  # of the last row, the one before it
    assert torch.allclose(S(v, (("zeros", "reflect"), ("circular", "circular"))), conv2d(padded, S.weight))


def test_what_boundaries_ask_for():
    grid = Grid((4, 4, 4), nodes=("vertex", "cell", "left"), boundary=(("dirichlet", "neumann"), "robin", "periodic"))
    assert padding_of(grid) == (("zeros", "reflect"), ("replicate", "replicate"), ("circular", "circular"))
    assert padding_of(grid, "zeros") == (("zeros", "zeros"),) * 3
