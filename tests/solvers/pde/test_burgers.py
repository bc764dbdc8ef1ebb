from dataclasses import replace
from math import pi
from pathlib import Path

import pytest
import torch
from pde_orders.spectral import burgers_error

from opnet.data.dataset import open_dataset
from opnet.solvers.pde.burgers import Burgers
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.gaussian import GaussianField
from opnet.spaces.fields.sine_waves import SineWaves


def test_the_solution_of_cole_and_hopf():
    assert burgers_error(200, nodes=64) < 1e-9


def test_the_published_sets_have_their_sizes():
    fno, unit = Burgers(), Burgers(length=1.0)
    samples = [p.sample(0, range(60), 128, estimate_error=False) for p in (fno, unit)]
    assert float(samples[0].targets.square().mean().sqrt()) == pytest.approx(0.55, rel=0.15)
    assert float(samples[1].targets.square().mean().sqrt()) == pytest.approx(0.0099, rel=0.25)
    script = Burgers(length=1.0, nu=1e-3, initial="script").initial_fields[0]
    assert script == GaussianField(7.0, 2.5, 49.0, boundary="periodic", max_mode=320)


def test_inputs_keep_every_mode():
    problem = Burgers()
    samples = problem.sample(3, [1], 2048, estimate_error=False)
    drawn = problem.initial_fields[0].sample(3, [1], problem.grid(2048))
    torch.testing.assert_close(samples.inputs[:, 0], drawn, rtol=0, atol=1e-12)


def test_the_mean_is_kept_and_the_estimate_covers_the_error():
    problem = Burgers(nu=0.01, initial=SineWaves(), nodes=128, step=0.05)
    samples = problem.sample(0, [0, 1], 64)
    assert float(samples.diagnostics["mean_drift"].max()) < 1e-14
    fine = replace(problem, step=0.01).sample(0, [0, 1], 64, estimate_error=False).targets
    error = (samples.targets - fine).flatten(1).norm(dim=1) / fine.flatten(1).norm(dim=1)
    assert bool((samples.discretisation_error < 3 * error + 1e-12).all())
    assert bool((samples.discretisation_error > error / 3).all())


def test_wrong_arguments_say_what_was_expected():
    for arguments, match in (
        ({"nu": 0.0}, "Burgers.nu: expected a positive"),
        ({"initial": "fnu"}, "Burgers.initial: expected .*'fno'.*found 'fnu'"),
    ):
        with pytest.raises(ValueError, match=match):
            Burgers(**arguments)


class Sampled(RandomField):
    """The trigonometric interpolants of nodes' values."""

    def __init__(self, values):
        self.values = values

    def sample(self, seed, indices, grid, *, key=()):
        modes = torch.fft.rfft(self.values[list(indices)], norm="forward")
        x = grid.axis(0) / grid.lengths[0]
        waves = torch.exp(2j * pi * x[:, None] * torch.arange(modes.shape[-1]))
        weights = torch.full(modes.shape[-1:], 2.0, dtype=torch.float64)
        weights[0] = weights[-1] = 1
        return ((modes * weights)[:, None, :] * waves).sum(-1).real


def test_other_peoples_samples_come_out_of_their_inputs(shared: Path):
    data = open_dataset(shared / "data" / "neuraloperator", format="neuraloperator", problem="burgers", n_test=100)
    batch = data.train.batch(range(20))
    x, y = batch.inputs[:, 0].double(), batch.targets[:, 0].double()
    problem = Burgers(1.0, length=1.0, nu=0.01, initial=Sampled(x), nodes=64)
    u = problem.solve(0, range(20), problem.grid(16)).states[:, -1, 0]
    error = (u - y).norm(dim=1) / y.norm(dim=1)
    assert float(error.mean()) < 0.03
