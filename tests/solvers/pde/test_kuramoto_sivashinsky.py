from math import exp, pi

import pytest
import torch
from pde_orders.states import Given

from opnet.solvers.pde.kuramoto_sivashinsky import KuramotoSivashinsky


def test_small_waves_grow_or_decay_at_their_rate():
    k = torch.tensor([2, 5]) * 2 * pi / 22
    for q in k.tolist():
        start = Given(lambda x, q=q: 1e-6 * torch.cos(q * x[0]))
        samples = KuramotoSivashinsky(times=2.0, length=22.0, initial=start).sample(0, [0], 32)
        factor = exp(2 * (q**2 - q**4))
        torch.testing.assert_close(
            samples.targets, factor * samples.inputs, rtol=0, atol=3e-12
        )  # the square of the amplitude


def test_chaos_of_bounded_size_whose_horizon_is_told():
    problem = KuramotoSivashinsky(times=(0.0, 20.0, 150.0, 400.0), length=22.0, step=0.2)
    samples = problem.sample(0, [0, 1], 64)
    u = samples.targets[:, 2:]
    assert 0.8 < float(u.square().mean().sqrt()) < 2
    assert float(u.mean(-1).abs().max()) < 1e-10
    horizon = samples.diagnostics["predictability_horizon"]
    assert bool(((horizon >= 20) & (horizon < 400)).all())
    assert bool(samples.discretisation_error.isnan().all())


def test_within_the_horizon_there_is_an_estimate():
    samples = KuramotoSivashinsky(times=10.0, length=22.0).sample(0, [0], 64)
    assert samples.diagnostics["predictability_horizon"].tolist() == [10.0]
    assert float(samples.discretisation_error) == pytest.approx(0, abs=1e-5)
