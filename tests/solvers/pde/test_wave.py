from math import pi

import pytest
import torch
from pde_orders.states import Given

from opnet.solvers.pde.wave import Wave


def test_waves_travel_both_ways():
    def f(x):
        return torch.cos(2 * pi * x[0]) + torch.sin(2 * pi * 3 * x[0] + 1)

    samples = Wave(
        times=0.17, c=2.0, initial=Given(f), initial_velocity=Given(lambda x: torch.zeros_like(x[0]))
    ).sample(0, [0], 20)
    x = samples.grid.coordinates()
    torch.testing.assert_close(samples.targets[0, 0], (f(x - 0.34) + f(x + 0.34)) / 2, rtol=0, atol=1e-13)


def test_a_constant_velocity_drifts():
    start = Given(lambda x: torch.zeros_like(x[0])), Given(lambda x: torch.ones_like(x[0]))
    samples = Wave(times=1.5, dim=2, initial=start[0], initial_velocity=start[1]).sample(0, [0], 4)
    assert samples.targets[0, 0].flatten().tolist() == pytest.approx([1.5] * 16)
    assert samples.targets[0, 1].flatten().tolist() == pytest.approx([1.0] * 16)


@pytest.mark.parametrize("dim", [1, 2])
def test_velocity_is_the_derivative_and_energy_stays(dim):
    t, h = 0.4, 1e-4
    samples = Wave(times=(0.0, t - h, t, t + h), dim=dim).sample(0, [0, 1], 8)
    u, v = samples.targets[:, :, 0], samples.targets[:, :, 1]
    torch.testing.assert_close((u[:, 3] - u[:, 1]) / (2 * h), v[:, 2], rtol=1e-4, atol=1e-4)
    assert float(samples.diagnostics["energy_drift"].max()) < 1e-12
