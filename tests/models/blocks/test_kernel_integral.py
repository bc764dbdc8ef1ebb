import pytest
import torch

from opnet.models.blocks import kernel_integral
from opnet.models.blocks.kernel_integral import KernelIntegral
from opnet.models.blocks.neighbourhoods import Neighbourhoods
from opnet.spaces.points import Points

WIDTH, BATCH = 3, 2


def example(kernel, values, dtype=torch.float64):
    torch.manual_seed(0)
    x, y = Points(torch.rand(17, 2)), Points(torch.rand(25, 2), torch.rand(25) + 0.1)
    near = Neighbourhoods.between(x, y, 0.4)
    integral = KernelIntegral(WIDTH, 2, kernel, 4, (5,), values).to(dtype)
    v = torch.randn(25, BATCH, WIDTH, dtype=dtype, requires_grad=True)
    a = (torch.randn(17, BATCH, values, dtype=dtype), torch.randn(25, BATCH, values, dtype=dtype)) if values else None
    return integral, v, near, a, x, y


def by_definition(integral, v, a, x, y, sample):
    """A sum over all pairs, with the matrix of each."""
    s = torch.cdist(x.positions, y.positions) / 0.4
    q = (s <= 1) * y.weights * (1 - s**2) ** 2
    q = q / q.sum(1, keepdim=True)
    features = [x.positions[:, None].expand(-1, 25, -1), (y.positions[None] - x.positions[:, None]) / 0.4]
    if a is not None:
        features += [a[0][:, None, sample].expand(-1, 25, -1), a[1][None, :, sample].expand(17, -1, -1)]
    g, q = integral.network(torch.cat([part.to(v.dtype) for part in features], -1)), q.to(v.dtype)
    if integral.mix is None:
        kappa = torch.diag_embed(g)
    else:
        kappa = torch.einsum("xyj,ojc->xyoc", g, integral.mix.weight.unflatten(1, (4, WIDTH)))
    return torch.einsum("xy,xyoc,yc->xo", q, kappa, v[:, sample])


@pytest.mark.parametrize("values", [0, 2])
@pytest.mark.parametrize("kernel", ["matrix", "diagonal"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_integral_is_its_definition_however_it_is_cut(kernel, values, dtype, monkeypatch):
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {}
    integral, v, near, a, x, y = example(kernel, values, dtype)
    expected = torch.stack([by_definition(integral, v, a, x, y, sample) for sample in range(BATCH)], 1)
    weight = torch.randn_like(expected)
    wanted = torch.autograd.grad((weight * expected).sum(), (v, *integral.parameters()))
    for pairs in (10**6, 30):
        monkeypatch.setattr(kernel_integral, "PAIRS", pairs)
        output = integral(v, near, a)
        assert torch.allclose(output, expected, **tolerance)
        gradients = torch.autograd.grad((weight * output).sum(), (v, *integral.parameters()))
        for one, other in zip(gradients, wanted, strict=True):
            assert torch.allclose(one, other, **tolerance)


def test_gradients_through_the_kernel_are_those_of_finite_differences():
    integral, v, near, a, *_ = example("matrix", 2)
    seen = [part.requires_grad_() for part in a]
    assert torch.autograd.gradcheck(lambda v, *a: integral(v, near, a), (v, *seen), fast_mode=True)
