import pytest
import torch

from opnet.solvers.pde.diffusion_sorption import DiffusionSorption


def test_solutions_obey_the_maximum_principle():
    problem = DiffusionSorption(times=(0.0, 50.0, 500.0))
    samples = problem.sample(0, [0, 1], 32)
    assert float(samples.diagnostics["minimum"].min()) > 0
    assert float(samples.diagnostics["maximum"].max()) < 1
    u = samples.targets[:, :, 0]
    assert bool((u[:, 1:].diff(dim=2) < 0).all())  # it falls towards the end that takes away
    assert bool((u[:, 2, 0] > u[:, 1, 0]).all())
    assert samples.inputs[:, 0, 0].tolist() == [problem.initial_value(0, 0), problem.initial_value(0, 1)]


def test_mobility_is_one_over_the_retardation_and_0_where_that_is_infinite():
    problem = DiffusionSorption()
    u = torch.tensor([1e-12, 0.1, 1.0], dtype=torch.float64)
    held = (1 - 0.29) / 0.29 * 2880 * 3.5e-4 * 0.874
    torch.testing.assert_close(problem.mobility(u), 1 / (1 + held * u ** (0.874 - 1)))
    assert problem.mobility(torch.tensor([0.0, -1e-9])).tolist() == [0, 0]


def test_what_flows_in_and_out_is_what_is_held():
    """R u_t sums to the fluxes at both ends, whatever u is."""
    problem = DiffusionSorption()
    u = torch.rand(2, 50, dtype=torch.float64)
    total = (problem.rate(u, 0.02) / problem.mobility(u)).sum(1) * 0.02
    inflow = problem.D * (1 - u[:, 0]) / 0.01
    end = u[:, -1] / (1 + 0.01 / problem.D)  # D (u - end) / (h / 2) = end
    torch.testing.assert_close(total, inflow - end)


@pytest.mark.slow
def test_estimates_are_calibrated():
    problem = DiffusionSorption(times=100.0)
    coarse = problem.sample(3, [0], 16)
    fine = problem.solve(3, [0], problem.grid(16), refinement=3).states[:, -1]
    error = float((coarse.targets - fine).norm() / fine.norm())
    assert float(coarse.discretisation_error) == pytest.approx(error, rel=0.1)


@pytest.mark.parametrize(
    "wrong", [{"D": 0.0}, {"porosity": 1.0}, {"n_f": 0.0}, {"k_f": -1.0}, {"c_max": 0.0}, {"rtol": 0.0}]
)
def test_parameters_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DiffusionSorption(**wrong)
