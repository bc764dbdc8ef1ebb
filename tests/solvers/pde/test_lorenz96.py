from dataclasses import replace

import numpy as np
import pytest
import torch

from opnet.solvers.pde.evolution import HORIZON
from opnet.solvers.pde.lorenz96 import Lorenz96
from opnet.solvers.pde.lorenz96_two_scale import Lorenz96TwoScale

ZERO = torch.zeros(())
SMALL = Lorenz96TwoScale(times=0.1, sites=5, fast=4, forcing=7.0, h=0.8, b=9.0, c=11.0, spin_up=0.5)


def two_scales(p, X, Y):
    """The equations as they are printed, index by index; Y is (J, K)."""
    K, J = p.sites, p.fast
    line = [Y[j, k] for k in range(K) for j in range(J)]
    dX, dY = np.empty(K), np.empty((J, K))
    for k in range(K):
        dX[k] = X[k - 1] * (X[(k + 1) % K] - X[k - 2]) - X[k] + p.forcing - p.h * p.c / p.b * Y[:, k].sum()
        for j in range(J):
            i = k * J + j
            carried = line[(i + 1) % (K * J)] * (line[i - 1] - line[(i + 2) % (K * J)])
            dY[j, k] = p.c * p.b * carried - p.c * Y[j, k] + p.h * p.c / p.b * X[k]
    return dX, dY


def test_two_scales_are_the_printed_equations():
    state = torch.randn(2, 5, 5, dtype=torch.float64)
    found = SMALL.change(ZERO, state)
    for one, rate in zip(state.numpy(), found.numpy(), strict=True):
        dX, dY = two_scales(SMALL, one[0], one[1:])
        np.testing.assert_allclose(rate, np.vstack([dX, dY]), rtol=1e-12, atol=1e-12)


def test_one_scale_is_two_without_coupling():
    one = Lorenz96(sites=5, forcing=7.0)
    state = torch.randn(2, 5, 5, dtype=torch.float64)
    both = replace(SMALL, h=0.0).change(ZERO, state)
    torch.testing.assert_close(one.change(ZERO, state[:, :1]), both[:, :1])


@pytest.mark.parametrize("problem", [Lorenz96(forcing=0.0, sites=6), replace(SMALL, forcing=0.0)], ids=["one", "two"])
def test_advection_and_coupling_conserve_energy(problem):
    state = torch.randn(3, len(problem.target_names), problem.sites, dtype=torch.float64)
    damping = state.clone()
    if isinstance(problem, Lorenz96TwoScale):
        damping[:, 1:] *= problem.c
    torch.testing.assert_close((state * (problem.change(ZERO, state) + damping)).sum((1, 2)), torch.zeros(3).double())


def test_inputs_are_on_the_attractor():
    samples = Lorenz96(times=0.05, rtol=1e-4).sample(0, range(20), 40, estimate_error=False)
    assert 2.0 < float(samples.inputs.mean()) < 2.7  # 2.34 in the long run
    assert 3.3 < float(samples.inputs.std()) < 4.0  # 3.63


def test_chaos_has_a_horizon():
    samples = Lorenz96(times=(0.0, 1.0, 25.0), spin_up=0.0, rtol=1e-5).sample(0, [0], 40)
    assert samples.diagnostics[HORIZON].tolist() == [1.0]
    assert bool(samples.discretisation_error.isnan().all())


@pytest.mark.parametrize(
    ("problem", "wrong"),
    [
        (Lorenz96(), {"sites": 3}),
        (Lorenz96(), {"rtol": 0.0}),
        (Lorenz96(), {"spin_up": -1.0}),
        (Lorenz96(), {"forcing": torch.inf}),
        (SMALL, {"fast": 3}),
        (SMALL, {"b": 0.0}),
        (SMALL, {"c": -1.0}),
        (SMALL, {"h": torch.nan}),
    ],
    ids=str,
)
def test_arguments_are_checked(problem, wrong):
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))}: expected"):
        replace(problem, **wrong)


def test_the_resolution_is_the_number_of_sites():
    with pytest.raises(ValueError, match="expected the resolution 40, which is `sites`, found 64"):
        Lorenz96().grid(64)
