"""A preconditioner of any quality costs iterations, never the answer."""

import pytest
import torch

from opnet.core.status import Status
from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.flexible_cg import FlexibleCG
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.learned import Learned
from opnet.solvers.linear.relaxation import Jacobi
from opnet.solvers.linear.solve import solve_linear
from opnet.spaces.grid import Grid

GRID = Grid((16, 16), nodes="cell")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def untrained(r):
    torch.manual_seed(5)
    layers = torch.nn.Linear(256, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256)
    return torch.nn.Sequential(*layers).double()(r.flatten(-2)).reshape(r.shape)


NETWORKS = {
    "zero": torch.zeros_like,
    "constant": torch.ones_like,
    "NaN": lambda r: torch.full_like(r, torch.nan),
    "infinite": lambda r: r * torch.inf,
    "uphill": torch.neg,
    "noise": torch.randn_like,
    "orthogonal": lambda r: torch.roll(r, 1, -1) - torch.roll(r, -1, -1),
    "huge": lambda r: 1e200 * r,
    "tiny": lambda r: 1e-300 * r,
    "largest entry alone": lambda r: r * (r.abs() == r.abs().amax((-2, -1), keepdim=True)),
    "untrained": untrained,
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return Learned(NETWORKS[request.param])


@pytest.fixture
def A():
    return Diffusion(random(2, 16, 16).exp(), GRID)


@pytest.mark.parametrize("memory", [1, 5])
def test_useless_and_hostile_networks(network, memory, A):
    b = random(2, 16, 16, seed=1)
    solution = solve_linear(A, b, FlexibleCG(network, memory=memory), max_iterations=2000, throw=False)
    measured = (b - A @ solution.value).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)
    for status, residual in zip(solution.status.tolist(), measured.tolist(), strict=True):
        assert status in (Status.CONVERGED, Status.MAX_ITERATIONS)
        assert (status == Status.CONVERGED) == (residual <= 1e-8)


@pytest.mark.parametrize("name", ["zero", "NaN", "infinite", "uphill", "orthogonal", "huge", "tiny"])
def test_corrections_without_use_are_counted_and_cost_nothing(name, A):
    b = random(2, 16, 16, seed=1)
    plain = solve_linear(A, b, FlexibleCG())
    solution = solve_linear(A, b, FlexibleCG(Learned(NETWORKS[name])))
    assert plain.rejected.tolist() == [0, 0]
    assert torch.equal(solution.rejected, solution.iterations)
    assert torch.equal(solution.iterations, plain.iterations)
    torch.testing.assert_close(solution.value, plain.value, rtol=1e-12, atol=1e-12)


def test_one_element_whose_network_fails_leaves_the_other_as_it_is(A):
    def half(r):
        return torch.stack([r[0], r[1] * torch.nan])

    b = random(2, 16, 16, seed=1)
    solution = solve_linear(A, b, FlexibleCG(Learned(half)))
    assert solution.rejected[0] == 0
    assert solution.rejected[1] == solution.iterations[1]


def test_useless_networks_in_gmres_end_with_a_right_answer_or_a_typed_status(network, A):
    b = random(2, 16, 16, seed=1)
    solution = solve_linear(A, b, GMRES(network), max_iterations=300, throw=False)
    measured = (b - A @ solution.value).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)
    assert torch.equal(solution.status == Status.CONVERGED, measured <= 1e-8)
    assert bool((~(measured > 1 + 1e-12)).all())  # never worse than where it began


def test_a_good_network_helps():
    """The exact inverse, as a linear layer."""
    matrix = random(20, 20)
    matrix = matrix @ matrix.T + torch.eye(20, dtype=torch.float64)
    layer = torch.nn.Linear(20, 20, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.linalg.inv(matrix))
    solution = solve_linear(Dense(matrix), random(20, seed=1), FlexibleCG(Learned(layer)), rtol=1e-6)
    assert solution.iterations.item() == 1


def test_with_a_fixed_symmetric_preconditioner_it_is_conjugate_gradients(A):
    b = random(2, 16, 16, seed=1)
    flexible, plain = (solve_linear(A, b, method(Jacobi())) for method in (FlexibleCG, CG))
    assert int((flexible.iterations - plain.iterations).abs().max()) <= 1
    torch.testing.assert_close(flexible.history[:20], plain.history[:20], rtol=1e-6, atol=0)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match=r"FlexibleCG.memory: expected at least 1 direction, found 0"):
        FlexibleCG(memory=0)
