import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.registry import lookup
from opnet.core.status import Status
from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.pde.darcy import Darcy


def test_recipes_find_it_and_every_quantity_has_a_unit():
    assert lookup("problem", "darcy") is Darcy
    names = {*Darcy.input_names, *Darcy.target_names, "tau", "alpha", "a_high", "a_low", "forcing"}
    assert names <= set(Darcy.units)


def test_samples_solve_the_equation_they_state():
    samples = Darcy(forcing=2.0).sample(0, [1, 5], 64)
    a, u = samples.inputs[:, 0], samples.targets[:, 0]
    assert samples.inputs.shape == samples.targets.shape == (2, 1, 64, 64)
    assert set(a.unique().tolist()) == {3.0, 12.0}
    residual = (Diffusion(a, samples.grid) @ u - 2.0).flatten(1).norm(dim=1) / (2 * 64)
    torch.testing.assert_close(samples.residual, residual, rtol=1e-3, atol=0)
    assert float(residual.max()) <= 1e-10
    assert float(u.min()) > 0
    assert 0.002 < float(samples.discretisation_error.min()) <= float(samples.discretisation_error.max()) < 0.02


def test_one_continuous_coefficient_at_every_resolution():
    problem = Darcy()
    coarse = problem.sample(3, [2], 32, estimate_error=False)
    fine = problem.sample(3, [2], 96, estimate_error=False)
    assert torch.equal(fine.inputs[..., 1::3, 1::3], coarse.inputs)  # every third midpoint
    means = fine.targets.unflatten(-1, (32, 3)).unflatten(-3, (32, 3)).mean((-1, -3))
    assert float((means - coarse.targets).norm() / means.norm()) < 0.03
    assert bool(coarse.discretisation_error.isnan().all())


def test_samples_do_not_depend_on_their_companions():
    problem = Darcy()
    alone, among = problem.sample(0, [3], 32), problem.sample(0, [0, 7, 3], 32)
    assert torch.equal(alone.inputs[0], among.inputs[2])
    torch.testing.assert_close(alone.targets[0], among.targets[2], rtol=1e-9, atol=0)
    torch.testing.assert_close(alone.discretisation_error[0], among.discretisation_error[2], rtol=1e-6, atol=0)


def test_equal_calls_give_equal_bytes():
    first, second = (Darcy().sample(0, [4, 2], 32) for _ in range(2))
    assert torch.equal(first.targets, second.targets)
    assert torch.equal(first.discretisation_error, second.discretisation_error)


def test_error_estimate_is_calibrated():
    """Against a grid 16 times finer, whose own error is some 5 % of what is estimated."""
    problem = Darcy()
    coarse, reference = (problem.sample(11, range(8), n, estimate_error=n < 100) for n in (32, 512))
    truth = reference.targets.unflatten(-1, (32, 16)).unflatten(-3, (32, 16)).mean((-1, -3))
    error = (coarse.targets - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)
    ratio = coarse.discretisation_error / error
    assert 0.8 < float(ratio.median()) < 1.4
    assert float(ratio.min()) > 0.5
    assert float(ratio.max()) < 2.5


def test_failure_names_the_sample(monkeypatch):
    monkeypatch.setattr(Darcy, "method", CG())
    with pytest.raises(SolveError, match="Darcy sample 6 of seed 0") as failure:
        Darcy().sample(0, [6], 64, estimate_error=False)
    assert failure.value.index == 6
    assert failure.value.status == Status.MAX_ITERATIONS


@pytest.mark.parametrize(
    "wrong", [{"a_low": 0.0}, {"a_high": -1.0}, {"forcing": 0.0}, {"rtol": 0.0}, {"tau": -1.0}, {"max_mode": 0}]
)
def test_parameters_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Darcy(**wrong)


@pytest.mark.parametrize("resolution", [0, 1])
def test_resolutions_are_checked(resolution):
    with pytest.raises(ValueError, match="expected"):
        Darcy().grid(resolution)
    with pytest.raises(ValueError, match="at least one index"):
        Darcy().sample(0, [], 32)
