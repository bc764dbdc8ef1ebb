from math import pi

import torch
from pde_orders.states import Given

from opnet.solvers.pde.advection import Advection
from opnet.spaces.fields.pdebench_waves import PDEBenchWaves


def test_the_initial_state_is_carried_along():
    def f(x):
        return torch.cos(2 * pi * x[0]) + torch.sin(2 * pi * 4 * x[0] + 1)

    samples = Advection(times=0.37, beta=-1.3, initial=Given(f)).sample(0, [0], 33)
    x = samples.grid.coordinates()
    torch.testing.assert_close(samples.targets[0, 0], f(x + 1.3 * 0.37), rtol=0, atol=1e-13)


def test_published_states_move_by_whole_nodes():
    samples = Advection(times=3 / 32, beta=1.0, initial=PDEBenchWaves()).sample(0, range(6), 32)
    torch.testing.assert_close(samples.targets, samples.inputs.roll(3, -1), rtol=0, atol=1e-12)
