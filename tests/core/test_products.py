import pytest
import torch
from torch.func import grad

from opnet.core import products
from opnet.core.products import add_product, affine, is_eager, product


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fused", [True, False])
def test_products_are_those_of_torch(dtype, fused, monkeypatch):
    if not fused:
        monkeypatch.setattr(products, "operation", lambda: None)
    generator = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(*shape, generator=generator, dtype=dtype) for shape in ((3, 5), (5, 7), (3, 7)))
    weight, bias = b.t().contiguous(), c[0]
    for context in (torch.no_grad(), torch.enable_grad()):
        with context:
            torch.testing.assert_close(product(a, b), a @ b)
            torch.testing.assert_close(product(a.t().contiguous().t(), b), a @ b)
            torch.testing.assert_close(affine(a, weight, bias), a @ b + bias)
            total = c.clone()
            assert add_product(total, a, b) is total
            torch.testing.assert_close(total, c + a @ b)


def test_products_of_slices():
    big, a, c = torch.randn(5, 9), torch.randn(3, 5), torch.randn(3, 7)
    assert products.is_fusible(a) == (products.operation() is not None)
    assert not products.is_fusible(big[:, :7])
    with torch.no_grad():
        for b in (big[:, :7], big[:, :7].contiguous()):
            torch.testing.assert_close(product(a, b), a @ b)
            torch.testing.assert_close(add_product(c.clone(), a, b), c + a @ b)


def test_products_of_no_rows():
    with torch.no_grad():
        assert product(torch.zeros(0, 5), torch.zeros(5, 2)).shape == (0, 2)


def test_products_are_differentiated_where_that_is_recorded():
    a, b = torch.ones(2, 3, requires_grad=True), torch.ones(3, 4)
    (gradient,) = torch.autograd.grad(product(a, b).sum(), a)
    assert torch.equal(gradient, torch.full((2, 3), 4.0))


class Watched(torch.Tensor):
    pass


def test_what_is_eager():
    x, seen = torch.ones(2), []
    assert is_eager(x, torch.nn.Parameter(x))
    assert not is_eager(x, x.double())
    with torch.autocast("cpu"):
        assert not is_eager(x)
    grad(lambda x: seen.append(is_eager(x)) or x.sum())(x)
    with torch.autograd.forward_ad.dual_level():
        seen.append(is_eager(x))
    torch.jit.trace(lambda x: seen.append(is_eager(x)) or x, x, check_trace=False)
    assert seen == [False] * 3
    assert not is_eager(x.as_subclass(Watched))
