import pytest
import torch

from opnet.models.blocks.boundary_convolution import BoundaryConvolution, extend

PERIODIC, DIRICHLET, NEUMANN = (("periodic",) * 2, ("dirichlet",) * 2, ("neumann",) * 2)


def test_each_side_continues_as_it_asks():
    v = torch.tensor([[[1.0, 2.0, 3.0]]])
    assert extend(v, [PERIODIC], 2).tolist() == [[[2, 3, 1, 2, 3, 1, 2]]]
    assert extend(v, [DIRICHLET], 2).tolist() == [[[0, 0, 1, 2, 3, 0, 0]]]
    assert extend(v, [("robin", "dirichlet")], 1).tolist() == [[[1, 1, 2, 3, 0]]]
    plane = extend(torch.arange(6.0).reshape(1, 1, 2, 3), [PERIODIC, NEUMANN], 1)
    assert plane[0, 0].tolist() == [[3, 3, 4, 5, 5], [0, 0, 1, 2, 2], [3, 3, 4, 5, 5], [0, 0, 1, 2, 2]]


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_on_periodic_boxes_it_commutes_with_shifts(dim, dilation):
    torch.manual_seed(0)
    convolution = BoundaryConvolution(2, 3, dim, dilation=dilation).double()
    v = torch.randn(2, 2, *(4, 5, 6)[:dim], dtype=torch.float64)
    axes = tuple(range(2, 2 + dim))
    found = convolution(v, [PERIODIC] * dim)
    assert found.shape == (2, 3, *(4, 5, 6)[:dim])
    moved = convolution(v.roll((1,) * dim, axes), [PERIODIC] * dim)
    assert torch.allclose(moved, found.roll((1,) * dim, axes))


def test_on_dirichlet_sides_it_is_the_convolution_with_zeros():
    torch.manual_seed(0)
    convolution = BoundaryConvolution(1, 2, 2)
    v = torch.randn(1, 1, 5, 6)
    plain = torch.nn.functional.conv2d(v, convolution.convolution.weight, convolution.convolution.bias, padding=1)
    assert torch.allclose(convolution(v, [DIRICHLET] * 2), plain, atol=1e-6)
