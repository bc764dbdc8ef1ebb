import torch
from pde_orders.states import Given

from opnet.solvers.pde.allen_cahn import AllenCahn


def test_fronts_stand():
    width = (2 * 1e-3 / 5) ** 0.5
    start = Given(lambda x: torch.tanh((x[0] + 0.5) / width) - torch.tanh((x[0] - 0.5) / width) - 1)
    samples = AllenCahn(times=1.0, diffusivity=1e-3, initial=start).sample(0, [0], 64)
    torch.testing.assert_close(samples.targets, samples.inputs, rtol=0, atol=1e-6)


def test_uniform_states_follow_the_kinetics():
    """u^2 / (1 - u^2) grows as exp(2 r t)."""
    samples = AllenCahn(times=0.3, rate=2.0, dim=2, initial=Given(lambda x: 0.1 + 0 * x[0])).sample(0, [0], 4)
    grown = 0.01 / 0.99 * torch.exp(torch.tensor(1.2, dtype=torch.float64))
    torch.testing.assert_close(samples.targets[0, 0, 0, 0], (grown / (1 + grown)).sqrt(), rtol=1e-7, atol=0)


def test_free_energy_falls():
    problem = AllenCahn(times=(0.0, 0.1, 0.3, 1.0), diffusivity=1e-2)
    u = problem.sample(0, [0, 1], 256, estimate_error=False).targets[:, :, 0]
    slope = (u.roll(-1, -1) - u) * 128
    energy = (0.01 * slope.square() / 2 + 5 * (1 - u**2) ** 2 / 4).mean(-1)
    assert bool((energy.diff(dim=1) < 0).all())
