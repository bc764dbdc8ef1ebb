import pytest
import torch
from torch.func import functional_call, grad, vmap

from opnet.models.blocks.fourier_layer import _plain, fourier_layer
from opnet.models.fno import FNO
from opnet.spaces.grid import Grid
from opnet.spaces.transforms import SpectralTransform

GRIDS = {
    "fourier": [Grid((9,), nodes="vertex"), Grid((6, 7)), Grid((4, 5, 6), boundary="periodic")],
    "cosine": [Grid((6, 7)), Grid((5,), nodes="vertex")],
    "sine": [Grid((6, 7), nodes="interior")],
}
CASES = [(basis, grid, activate) for basis, grids in GRIDS.items() for grid in grids for activate in (True, False)]
each_case = pytest.mark.parametrize(
    ("basis", "grid", "activate"), CASES, ids=lambda value: value.dim if isinstance(value, Grid) else str(value)
)


def layer(basis, grid, *, dtype=torch.float64, channels=(3, 2), batch=2):
    """Arguments of `fourier_layer`, the first four with a gradient."""
    generator = torch.Generator().manual_seed(0)
    transform = SpectralTransform(grid, (2,) * grid.dim, basis, dtype=dtype)
    parts = (2,) if basis == "fourier" else ()
    shapes = [(*grid.shape, batch, channels[0]), (transform.n_modes, *channels, *parts), channels[::-1], channels[1:]]
    numbers = [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]
    return numbers, transform


def gradients(function, numbers, transform, activate, target):
    outputs = function(*numbers, transform, activate=activate)
    return outputs, torch.autograd.grad((outputs * target).sum(), numbers)


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@each_case
def test_values_and_gradients_are_those_of_automatic_differentiation(basis, grid, activate, dtype):
    numbers, transform = layer(basis, grid, dtype=dtype)
    target = torch.randn(*grid.shape, 2, 2, generator=torch.Generator().manual_seed(1), dtype=dtype)
    found, of_found = gradients(fourier_layer, numbers, transform, activate, target)
    expected, of_expected = gradients(_plain, numbers, transform, activate, target)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    for a, b in zip(of_found, of_expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=20 * tolerance)
    with torch.no_grad():
        values = fourier_layer(*numbers, transform, activate=activate)
    torch.testing.assert_close(values, expected, rtol=tolerance, atol=tolerance)


@each_case
def test_first_and_second_derivatives_are_differences(basis, grid, activate):
    numbers, transform = layer(basis, grid, channels=(2, 1), batch=1)

    def function(*numbers):
        return fourier_layer(*numbers, transform, activate=activate)

    assert torch.autograd.gradcheck(function, numbers, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, numbers, fast_mode=True)


def test_the_hand_written_derivative_is_the_one_taken():
    numbers, transform = layer("fourier", Grid((6, 7)))
    assert type(fourier_layer(*numbers, transform, activate=True).grad_fn).__name__ == "_LayerBackward"


@pytest.mark.parametrize("frozen", range(4))
def test_what_is_frozen_gets_no_gradient(frozen):
    numbers, transform = layer("fourier", Grid((6, 7)))
    numbers[frozen].requires_grad_(False)
    fourier_layer(*numbers, transform, activate=True).sum().backward()
    free, _ = layer("fourier", Grid((6, 7)))
    _plain(*free, transform, activate=True).sum().backward()
    for i, (a, b) in enumerate(zip(numbers, free, strict=True)):
        assert (a.grad is None) == (i == frozen)
        if i != frozen:
            torch.testing.assert_close(a.grad, b.grad)


def test_the_derivative_can_be_taken_twice_and_inputs_are_left_alone():
    numbers, transform = layer("fourier", Grid((6, 7)))
    before = [t.detach().clone() for t in numbers]
    outputs = fourier_layer(*numbers, transform, activate=True)
    gradient = torch.ones_like(outputs)
    first = torch.autograd.grad(outputs, numbers, gradient, retain_graph=True)
    second = torch.autograd.grad(outputs, numbers, gradient)
    for a, b in zip((*first, *before, torch.ones_like(outputs)), (*second, *numbers, gradient), strict=True):
        assert torch.equal(a, b)


def test_rows_of_other_strides_and_transforms_of_functions():
    numbers, transform = layer("fourier", Grid((6, 7)))
    v, *weights = (t.detach() for t in numbers)
    expected = _plain(v, *weights, transform, activate=True)
    strided = v.movedim(2, 0).contiguous().movedim(0, 2)
    assert not strided.is_contiguous()
    torch.testing.assert_close(fourier_layer(strided, *weights, transform, activate=True), expected)

    def total(v):
        return fourier_layer(v, *weights, transform, activate=True).sum()

    by_hand = torch.autograd.grad(total(numbers[0]), numbers[0])[0]
    torch.testing.assert_close(grad(total)(v), by_hand)
    each = vmap(lambda v: fourier_layer(v[:, :, None], *weights, transform, activate=True), in_dims=2)(v)
    torch.testing.assert_close(each[:, :, :, 0].movedim(0, 2), expected)
    tangent = torch.autograd.functional.jvp(total, v, torch.ones_like(v))[1]
    forward = torch.func.jvp(total, (v,), (torch.ones_like(v),))[1]
    torch.testing.assert_close(forward, by_hand.sum())
    torch.testing.assert_close(tangent, by_hand.sum())


def test_a_model_under_functional_call_and_autocast():
    torch.manual_seed(0)
    model = FNO(1, 1, modes=(3, 3), width=4, layers=2)
    inputs = torch.randn(2, 1, 8, 8)
    expected = model(inputs)
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    by_hand = torch.autograd.grad(expected.sum(), list(model.parameters()))
    found = grad(lambda p: functional_call(model, p, inputs).sum())(parameters)
    for a, b in zip(found.values(), by_hand, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = model(inputs)
        outputs.float().sum().backward()
    assert float((outputs - expected).detach().norm() / expected.detach().norm()) < 0.03


def test_a_layer_keeps_one_field():
    numbers, transform = layer("fourier", Grid((16, 16)))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        fourier_layer(*numbers, transform, activate=True)
    assert [t.shape for t in kept if t.numel() >= 16 * 16 * 2] == [numbers[0].shape]
