import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from opnet.models.blocks.mlp import MLP


def pair(activation: str) -> tuple[MLP, nn.Sequential]:
    rho = {"tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU}[activation]
    plain = nn.Sequential(nn.Linear(5, 16), rho(), nn.Linear(16, 7), rho(), nn.Linear(7, 3))
    ours = MLP((5, 16, 7, 3), activation)
    ours.load_state_dict(plain.state_dict())
    return ours, plain


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_those_of_a_sequence_of_layers(activation: str, dtype: torch.dtype) -> None:
    ours, plain = (m.to(dtype) for m in pair(activation))
    x = torch.randn(2, 4, 5, dtype=dtype, requires_grad=True)
    weight = torch.randn(2, 4, 3, dtype=dtype)
    found = torch.autograd.grad((ours(x) * weight).sum(), (x, *ours.parameters()))
    expected = torch.autograd.grad((plain(x) * weight).sum(), (x, *plain.parameters()))
    torch.testing.assert_close(ours(x), plain(x))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), plain(x))


@pytest.mark.usefixtures("_path")
def test_frozen_parameters_get_no_gradient() -> None:
    ours, plain = pair("tanh")
    for model in (ours, plain):
        list(model.parameters())[2].requires_grad_(False)
    x = torch.randn(6, 5)
    for model in (ours, plain):
        model(x).square().sum().backward()
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("_path")
def test_checkpoints_compute_the_layers_anew() -> None:
    ours, _ = pair("relu")
    x = torch.randn(4, 5, requires_grad=True)
    (expected,) = torch.autograd.grad(ours(x).square().sum(), x)
    (found,) = torch.autograd.grad(checkpoint(ours, x, use_reentrant=False).square().sum(), x)
    torch.testing.assert_close(found, expected)


@pytest.mark.usefixtures("_path")
def test_second_derivatives_and_transforms() -> None:
    ours, plain = pair("tanh")
    x = torch.randn(4, 5, requires_grad=True)

    def penalty(model: nn.Module) -> torch.Tensor:
        (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        return slope.square().sum()

    for a, b in zip(
        torch.autograd.grad(penalty(ours), list(ours.parameters())[:-1], allow_unused=True),
        torch.autograd.grad(penalty(plain), list(plain.parameters())[:-1], allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.func.jacrev(ours)(x[0]), torch.func.jacrev(plain)(x[0]))
    torch.testing.assert_close(torch.func.jacfwd(ours)(x[0]), torch.func.jacfwd(plain)(x[0]))


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="features: expected at least two positive integers, found"):
        MLP((3,))
    with pytest.raises(ValueError, match="activation"):
        MLP((3, 3), "step")
