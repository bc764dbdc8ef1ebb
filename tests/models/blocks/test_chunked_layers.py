import pytest
import torch
from torch import nn

from opnet.models.blocks import chunked_layers
from opnet.models.blocks.chunked_layers import two_layers


def head(dtype, width=3, hidden=8, out=2):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, out)).to(dtype)
    return plain, list(plain.parameters())


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("numbers", [1, 24, 2**18])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_those_of_a_sequence_of_layers(numbers, dtype, monkeypatch):
    monkeypatch.setitem(chunked_layers._NUMBERS, "cpu", numbers)
    plain, parameters = head(dtype)
    x = torch.randn(5, 2, 3, dtype=dtype, requires_grad=True)
    target = torch.randn(5, 2, 2, dtype=dtype)
    found, expected = two_layers(x, *parameters), plain(x)
    torch.testing.assert_close(found, expected)
    for a, b in zip(
        torch.autograd.grad((found * target).sum(), (x, *parameters)),
        torch.autograd.grad((expected * target).sum(), (x, *parameters)),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(two_layers(x, *parameters), expected)


def test_first_and_second_derivatives_are_differences(monkeypatch):
    monkeypatch.setitem(chunked_layers._NUMBERS, "cpu", 16)
    _, parameters = head(torch.float64)
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(two_layers, (x, *parameters))
    assert torch.autograd.gradgradcheck(two_layers, (x, *parameters))


@pytest.mark.parametrize("frozen", range(5))
def test_what_is_frozen_gets_no_gradient(frozen):
    _, parameters = head(torch.float64)
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    arguments = [x, *parameters]
    arguments[frozen].requires_grad_(False)
    two_layers(*arguments).sum().backward()
    for i, argument in enumerate(arguments):
        assert (argument.grad is None) == (i == frozen)


def test_hidden_values_are_not_kept():
    _, parameters = head(torch.float64, hidden=64)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        two_layers(torch.randn(100, 3, dtype=torch.float64), *parameters)
    assert max(kept) == 300
