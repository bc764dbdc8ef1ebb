import numpy as np
import pytest
import torch
from pde_orders import riemann

from opnet.solvers.pde.shock_tube import ShockTube


def test_states_are_those_that_were_drawn():
    problem = ShockTube(times=0.1)
    samples = problem.sample(0, [3], 64, estimate_error=False)
    left, right, place = problem.states(0, 3)
    x = samples.grid.axis(0)
    for side, state in ((x < place, left), (x >= place, right)):
        torch.testing.assert_close(samples.inputs[0][:, side].mean(1), torch.from_numpy(state))
    assert abs(place) < 0.5
    assert abs(left[1]) <= 0.5


def test_published_velocities_are_exponentials():
    clean, published = ShockTube().states(0, 5), ShockTube(published_velocity=True).states(0, 5)
    for side in (0, 1):
        assert published[side][1] == pytest.approx(np.exp(clean[side][1]))
        assert published[side][[0, 2]].tolist() == clean[side][[0, 2]].tolist()


def test_estimates_are_calibrated_against_exact_solutions():
    problem, indices = ShockTube(times=0.2), list(range(12))
    samples = problem.sample(5, indices, 64)
    ratios = []
    for row, index in enumerate(indices):
        left, right, place = problem.states(5, index)
        x = samples.grid.resized(64 * 64).axis(0).numpy()
        exact = riemann.gas(left, right, (x - place) / 0.2, problem.gamma).reshape(3, 64, 64).mean(2)
        error = np.linalg.norm(samples.targets[row].numpy() - exact, axis=1) / np.linalg.norm(exact, axis=1)
        ratios.append(float(samples.discretisation_error[row]) / error.max())
    assert 0.8 < np.median(ratios) < 1.4
    assert 0.4 < min(ratios) <= max(ratios) < 2.5
