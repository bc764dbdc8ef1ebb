"""Laws of every problem: samples are functions, not arrays, and say how wrong they are."""

from dataclasses import dataclass, fields
from typing import Any

import pytest
import torch

from opnet.core.registry import build, lookup, names
from opnet.data.manifest import plain
from opnet.solvers.pde.evolution import HORIZON
from opnet.solvers.pde.problem import Problem
from opnet.spaces.fields.gaussian import GaussianField
from opnet.spaces.fields.pdebench_waves import PDEBenchWaves

ROUGH = GaussianField(3.0, 2.5, 5.0, boundary="periodic", max_mode=6)


@dataclass(frozen=True)
class Small:
    """Arguments and a resolution at which a sample takes little time.

    Attributes:
        arguments: of the problem, as a recipe would give them.
        n: the resolution.
        published: whether the recipe, as published, draws other functions on other grids.
        rounding: what the same sample may differ by in other company, relative.
    """

    n: int
    arguments: dict[str, Any] = None  # type: ignore[assignment]
    published: bool = False
    rounding: float = 1e-8

    def make(self, name):
        return build("problem", name.split()[0], **(self.arguments or {}))


SMALL: dict[str, Small] = {
    "advection": Small(16),
    "advection as published": Small(16, {"initial": PDEBenchWaves()}, published=True),
    "allen_cahn": Small(16, {"times": 0.5}),
    "antiderivative": Small(11, {"steps": 40}),
    "burgers": Small(32, {"times": 0.1, "initial": ROUGH}),
    "compressible_1d": Small(16, {"times": 0.1}),
    "compressible_2d": Small(8, {"times": 0.05}),
    "darcy": Small(16),
    "darcy_fno_published": Small(12, {"max_mode": 8}, published=True),
    "darcy_lognormal": Small(16),
    "darcy_multiscale": Small(32, {"scales": 2}),
    "diffusion_sorption": Small(16, {"times": 20.0, "rtol": 1e-5}),
    "fisher_kpp": Small(16, {"times": 0.2}),
    "fitzhugh_nagumo": Small(8, {"times": 0.02, "nodes": 32}),
    "forced_reaction_diffusion": Small(17, {"times": (0.0, 0.1, 0.2)}),
    "gray_scott": Small(8, {"times": 2.0, "nodes": 64}),
    "heat": Small(16),
    "kolmogorov": Small(16, {"times": 0.1, "reynolds": 40.0, "initial": ROUGH}),
    "korteweg_de_vries": Small(16, {"times": 1.0}),
    "kuramoto_sivashinsky": Small(16, {"times": (0.0, 1.0, 2.0)}),
    "helmholtz": Small(24, {"omega": 8.0}),
    "lorenz96": Small(6, {"times": 0.5, "sites": 6, "spin_up": 1.0, "rtol": 1e-5}),
    "lorenz96_two_scale": Small(4, {"times": 0.05, "sites": 4, "fast": 4, "spin_up": 0.2, "rtol": 1e-5}),
    "navier_stokes": Small(16, {"times": (0.0, 0.5), "initial": ROUGH}),
    "pendulum": Small(11, {"steps": 40}),
    "poisson": Small(16),
    "poisson periodic": Small(16, {"boundary": "periodic"}),
    "riccati": Small(11, {"steps": 40}),
    "shallow_water": Small(32, {"times": (0.0, 0.1)}),
    "shock_tube": Small(32, {"times": 0.05}),
    "swift_hohenberg": Small(16, {"times": 1.0}),
    "wave": Small(16),
}
PROBLEMS = [name for name in names("problem") if issubclass(lookup("problem", name), Problem)]


@pytest.fixture(params=SMALL)
def small(request):
    return SMALL[request.param]


@pytest.fixture
def problem(request, small):
    return small.make(request.node.callspec.params["small"])


def finer(grid):
    """How many nodes make a grid that holds the nodes of `grid`, and where along an axis."""
    n = grid.shape[0]
    return {
        "left": (2 * n, slice(None, None, 2)),
        "cell": (3 * n, slice(1, None, 3)),
        "vertex": (2 * n - 1, slice(None, None, 2)),
        "interior": (2 * n + 1, slice(1, None, 2)),
    }[grid.nodes[0]]


def test_every_registered_problem_is_tested():
    assert set(PROBLEMS) == {name.split()[0] for name in SMALL}


def test_says_what_it_is(problem):
    named = {*problem.input_names, *problem.target_names, *(f.name for f in fields(problem))}
    unstated = named - set(problem.units) - {"times", "rtol"}
    assert not unstated, f"units: {sorted(unstated)} are missing"
    for text in (problem.equation, problem.solver, problem.error_method, *problem.diagnostics.values()):
        assert len(text) > 4
    assert ".. math::" in type(problem).__doc__ or "`" in type(problem).__doc__
    assert plain(problem)["class"] == type(problem).__name__


def test_samples(problem, small):
    samples = problem.sample(0, [0, 3], small.n)
    grid = problem.grid(small.n)
    assert samples.grid == grid
    assert samples.inputs.shape == (2, len(problem.input_names), *grid.shape)
    time = () if samples.times is None else (len(samples.times),)
    assert samples.targets.shape == (2, *time, len(problem.target_names), *grid.shape)
    assert set(samples.diagnostics) == set(problem.diagnostics)
    for values in (samples.inputs, samples.targets, samples.residual, samples.discretisation_error):
        assert values.dtype == torch.float64
    for values in (samples.residual, samples.discretisation_error, *samples.diagnostics.values()):
        assert values.shape == (2,)
    assert bool(torch.isfinite(samples.inputs).all())
    assert bool(torch.isfinite(samples.targets).all())
    assert not torch.equal(samples.targets[0], samples.targets[1])
    known = torch.isfinite(samples.discretisation_error)
    assert bool(known.all()) or HORIZON in problem.diagnostics
    assert bool((samples.discretisation_error[known] >= 0).all())
    unasked = problem.sample(0, [0, 3], small.n, estimate_error=False)
    assert torch.equal(unasked.targets, samples.targets)
    assert bool(unasked.discretisation_error.isnan().all())


def test_equal_calls_give_equal_bytes_whatever_the_company(problem, small):
    alone = problem.sample(1, [3], small.n, estimate_error=False)
    again = problem.sample(1, [3], small.n, estimate_error=False)
    among = problem.sample(1, [0, 7, 3], small.n, estimate_error=False)
    assert torch.equal(alone.inputs, again.inputs)
    assert torch.equal(alone.targets, again.targets)
    torch.testing.assert_close(among.inputs[2], alone.inputs[0], rtol=1e-12, atol=1e-12)
    scale = float(alone.targets.abs().max())
    torch.testing.assert_close(among.targets[2], alone.targets[0], rtol=small.rounding, atol=small.rounding * scale)


def test_a_sample_is_one_function_at_every_resolution(problem, small):
    if small.published:
        pytest.skip("the recipe as published draws other functions on other grids")
    grid = problem.grid(small.n)
    try:
        n, common = finer(grid)
        fine = problem.sample(0, [5], n)
    except ValueError:
        pytest.skip("the problem takes one resolution")
    coarse = problem.sample(0, [5], small.n)
    places = (Ellipsis, *(common,) * grid.dim)
    scale = float(coarse.inputs.abs().max())
    torch.testing.assert_close(fine.inputs[places], coarse.inputs, rtol=1e-6, atol=1e-6 * scale)
    errors = torch.cat([coarse.discretisation_error, fine.discretisation_error])
    if bool(torch.isfinite(errors).all()):
        apart = (fine.targets[places] - coarse.targets).norm() / coarse.targets.norm()
        assert float(apart) <= 4 * float(errors.sum()) + 1e-9


def test_other_samples_and_seeds_are_other_functions(problem, small):
    inputs = problem.sample(0, [1, 2], small.n, estimate_error=False).inputs
    other = problem.sample(1, [1], small.n, estimate_error=False).inputs
    assert not torch.equal(inputs[0], inputs[1])
    assert not torch.equal(inputs[0], other[0])


@pytest.mark.parametrize("n", [0, -1])
def test_wrong_calls_say_what_was_expected(problem, small, n):
    with pytest.raises(ValueError, match="expected"):
        problem.grid(n)
    with pytest.raises(ValueError, match="index"):
        problem.sample(0, [], small.n)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_solves_on_a_gpu(problem, small):
    here = problem.sample(0, [2], small.n, estimate_error=False)
    there = problem.sample(0, [2], small.n, estimate_error=False, device="cuda")
    assert there.targets.is_cuda
    scale = float(here.targets.abs().max())
    torch.testing.assert_close(there.targets.cpu(), here.targets, rtol=1e-6, atol=1e-6 * scale)
