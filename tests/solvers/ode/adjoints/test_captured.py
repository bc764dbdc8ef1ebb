import pytest
import torch

from opnet.solvers.ode.adjoints.captured import Captured, pull

GLOBAL = torch.ones(2, requires_grad=True)


def found_in(function, *arguments):
    with torch.no_grad(), Captured() as captured:
        function(*arguments)
    return captured.tensors


def same(found, expected):
    return {id(x) for x in found} == {id(x) for x in expected}


def test_finds_what_a_function_closes_over_however_it_is_kept():
    leaf = torch.ones(2, requires_grad=True)
    computed = leaf.exp()
    holder = {"deep": [computed]}
    assert same(found_in(lambda y: y * leaf, torch.ones(2)), [leaf])
    assert same(found_in(lambda y: torch.cat([y, holder["deep"][0]]), torch.ones(2)), [computed])
    assert same(found_in(lambda y: torch.add(y, other=GLOBAL), torch.ones(2)), [GLOBAL])


@pytest.mark.parametrize(
    "layer", [torch.nn.GRUCell(2, 2), torch.nn.Linear(2, 2), torch.nn.TransformerEncoderLayer(2, 1, 4)]
)
def test_finds_the_parameters_of_modules(layer):
    arguments = [torch.ones(3, 2)] * (2 if isinstance(layer, torch.nn.GRUCell) else 1)
    assert same(found_in(layer, *arguments), layer.parameters())


def test_finds_them_under_the_compiler():
    layer = torch.nn.Linear(2, 2)
    compiled = torch.compile(lambda y: layer(y) * GLOBAL, backend="eager")
    for _ in range(3):
        assert same(found_in(compiled, torch.ones(3, 2)), [*layer.parameters(), GLOBAL])


@pytest.mark.parametrize("assign", [False, True])
def test_what_is_differentiated_inside_is_not_taken_for_a_parameter(assign):
    layer = torch.nn.Linear(2, 1)

    def hamiltonian(y):
        with torch.enable_grad():
            q = y.clone() if assign else y.detach().requires_grad_()
            if assign:
                q.requires_grad = True
            return torch.autograd.grad(layer(torch.tanh(q)).sum(), q)[0]

    assert same(found_in(hamiltonian, torch.ones(3, 2)), [layer.weight, layer.bias])
    functional = torch.func.vmap(torch.func.grad(lambda q: layer(torch.tanh(q)).sum()))
    assert same(found_in(functional, torch.ones(3, 2)), [layer.weight, layer.bias])


def test_a_gradient_stops_at_inputs_computed_from_others():
    leaf = torch.tensor([2.0, 3.0], requires_grad=True)
    computed = leaf.exp()
    first, second = torch.stack([computed, 2 * computed]).unbind(0)
    y = torch.ones(2, requires_grad=True)
    inputs = [y, leaf, computed, first, second]
    expected = [computed, torch.ones(2), second, y, computed]
    for _ in range(2):
        found = pull([y * first + leaf + second * computed], inputs, [torch.ones(2)])
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
