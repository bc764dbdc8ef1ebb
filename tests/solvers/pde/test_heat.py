from math import exp, pi

import pytest
import torch
from pde_orders.states import Given

from opnet.solvers.pde.heat import Heat


@pytest.mark.parametrize("dim", [1, 2])
def test_a_mode_decays_at_its_rate(dim):
    start = Given(lambda x: 2 + torch.cos(2 * pi * 3 * x[0]))
    samples = Heat(times=0.5, nu=0.02, dim=dim, initial=start).sample(0, [0], 12)
    x = samples.grid.coordinates()
    exact = 2 + exp(-0.02 * (6 * pi) ** 2 * 0.5) * torch.cos(2 * pi * 3 * x[0])
    torch.testing.assert_close(samples.targets[0, 0], exact, rtol=0, atol=1e-13)


def test_modes_in_two_dimensions_are_those_of_the_plane():
    start = Given(lambda x: torch.cos(2 * pi * x[0]) * torch.sin(2 * pi * 2 * x[1]))
    samples = Heat(dim=2, initial=start).sample(0, [0], 12)
    factor = exp(-0.01 * (2 * pi) ** 2 * 5)
    torch.testing.assert_close(samples.targets, factor * samples.inputs, rtol=0, atol=1e-13)
