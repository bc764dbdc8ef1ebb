import pytest
import torch

from opnet.solvers.pde.shallow_water import ShallowWater


def test_round_columns_make_round_waves():
    samples = ShallowWater(times=(0.0, 0.3)).sample(0, [1], 32)
    h, v_x, v_y = samples.targets[0, -1]
    torch.testing.assert_close(h.flip(0), h, rtol=1e-11, atol=0)
    torch.testing.assert_close(h.T, h, rtol=1e-11, atol=0)
    torch.testing.assert_close(v_x.T, v_y, rtol=0, atol=1e-11)
    assert set(samples.inputs.unique().tolist()) == {1.0, 2.0}
    assert float(samples.diagnostics["mass_defect"]) < 1e-13


def test_the_first_frame_tells_the_radius():
    problem = ShallowWater(times=(0.0, 0.01))
    first = problem.sample(0, [4], 32, estimate_error=False).targets[0, 0, 0]
    volume = float((first - 1).sum() * (5 / 32) ** 2)
    assert volume == pytest.approx(torch.pi * problem.radius(0, 4) ** 2, rel=0.02)
    assert 0.3 < problem.radius(0, 4) < 0.7


def test_estimates_are_calibrated():
    problem = ShallowWater(times=0.5)
    coarse = problem.sample(3, [0, 1], 24)
    fine = problem.solve(3, [0, 1], problem.grid(24), refinement=3).states[:, -1]
    difference = (coarse.targets - fine).flatten(2).norm(dim=2) / fine.flatten(2).norm(dim=2)
    ratio = coarse.discretisation_error / difference.amax(1)
    assert 0.8 < float(ratio.min()) <= float(ratio.max()) < 1.5


@pytest.mark.parametrize(
    "wrong", [{"gravity": 0.0}, {"h_in": -1.0}, {"r_min": 0.9}, {"sides": "open"}, {"limiter": "none"}, {"times": ()}]
)
def test_parameters_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ShallowWater(**wrong)
