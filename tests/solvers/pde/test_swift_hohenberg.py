from math import pi

import pytest
import torch
from pde_orders.states import Given

from opnet.solvers.pde.swift_hohenberg import SwiftHohenberg


def test_stripes_saturate_near_the_amplitude_of_the_first_mode():
    start = Given(lambda x: 0.1 * torch.cos(x[0]))
    samples = SwiftHohenberg(times=200.0, r=0.1, length=4 * pi, initial=start, step=0.2, nodes=16).sample(0, [0], 32)
    amplitude = float(torch.fft.rfft(samples.targets[0, 0], norm="forward")[2].abs()) * 2
    assert amplitude == pytest.approx(2 * (0.1 / 3) ** 0.5, rel=0.01)


@pytest.mark.parametrize("dim", [1, 2])
def test_waves_off_the_ring_decay(dim):
    start = Given(lambda x: 1e-6 * torch.cos(2 * x[dim - 1]))
    problem = SwiftHohenberg(times=1.0, length=4 * pi, dim=dim, initial=start, nodes=16)
    samples = problem.sample(0, [0], 16)
    factor = torch.exp(torch.tensor(0.3 - 9.0, dtype=torch.float64))
    torch.testing.assert_close(samples.targets, factor * samples.inputs, rtol=0, atol=1e-14)
