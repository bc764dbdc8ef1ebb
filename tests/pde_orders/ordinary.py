"""Orders of what is ordinary in x or t: operators of ordinary equations, Lorenz's models, a forced reaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, pi

import numpy as np
import torch
from pde_orders.case import OrderCase
from torch import Tensor

from opnet.solvers.pde import forced_reaction_diffusion
from opnet.solvers.pde.antiderivative import Antiderivative
from opnet.solvers.pde.driven_ode import DrivenODE
from opnet.solvers.pde.forced_reaction_diffusion import ForcedReactionDiffusion
from opnet.solvers.pde.lorenz96 import Lorenz96
from opnet.solvers.pde.lorenz96_two_scale import Lorenz96TwoScale
from opnet.solvers.pde.lorenz_sites import LorenzSites
from opnet.solvers.pde.pendulum import Pendulum
from opnet.solvers.pde.riccati import Riccati
from opnet.spaces.fields.base import RandomField


@dataclass(frozen=True)
class Given(RandomField):
    """One function for all samples, by name."""

    name: str

    def sample(self, seed, indices, grid, *, key=()) -> Tensor:
        x = grid.axis(0)
        u = {
            "cos": torch.cos(3 * x),
            "sine": torch.sin(pi * x),
            "one": torch.ones_like(x),
            # of the angle sin^2 x, with k = 2
            "pendulum": 2 * torch.cos(2 * x) + 2 * torch.sin(torch.sin(x) ** 2),
        }[self.name]
        return u.expand(len(indices), -1).clone()


def _driven(problem: DrivenODE, exact):
    def error_at(steps: int) -> float:
        samples = replace(problem, steps=steps).sample(0, [0], 5, estimate_error=False)
        truth = np.stack(exact(samples.grid.axis(0).numpy()))
        return float(np.linalg.norm(samples.targets[0].numpy() - truth) / np.linalg.norm(truth))

    return error_at


def _spreading(intervals: int) -> float:
    """Growth of one mode under diffusion alone, in steps too small to matter."""
    problem = ForcedReactionDiffusion(times=1.0, diffusion=0.1, reaction=0.0, input=Given("sine"))
    before, forced_reaction_diffusion.INTERVALS = forced_reaction_diffusion.INTERVALS, intervals
    try:
        s = problem.sample(0, [0], 5, estimate_error=False).targets[0, 0]
    finally:
        forced_reaction_diffusion.INTERVALS = before
    rate = 0.1 * pi**2
    truth = (1 - exp(-rate)) / rate * torch.sin(pi * torch.arange(5, dtype=torch.float64) / 4)
    return float((s - truth).norm() / truth.norm())


def _against_scipy(problem: LorenzSites):
    """size: the inverse of the tolerance."""
    from scipy.integrate import solve_ivp

    def error_at(size: int) -> float:
        tried = type(problem)(**{**problem.__dict__, "rtol": 1 / size})
        start = tried.draw(0, [0])
        s = tried.solve(0, [0], tried.grid(tried.sites)).states[0, -1]
        rate = lambda t, y: tried.change(torch.zeros(()), torch.from_numpy(y).view_as(start)).flatten().numpy()  # noqa: E731
        truth = solve_ivp(rate, (0, tried.frames[-1]), start.flatten().numpy(), "DOP853", rtol=1e-13, atol=1e-13).y[
            :, -1
        ]
        return float(np.linalg.norm(s.flatten().numpy() - truth) / np.linalg.norm(truth))

    return error_at


RUNGE_KUTTA = "steps of the classical Runge-Kutta method"
TOLERANCE = "error against the inverse of the tolerance, from SciPy's DOP853 at 1e-13"

CASES = [
    OrderCase(
        "antiderivative", RUNGE_KUTTA, _driven(Antiderivative(2.0, Given("cos")), lambda x: [np.sin(3 * x) / 3]),
        (8, 16, 32, 64), 4,
    ),
    OrderCase("riccati", RUNGE_KUTTA, _driven(Riccati(2.0, Given("one")), lambda x: [np.tanh(x)]), (32, 64, 128), 4),
    OrderCase(
        "pendulum", RUNGE_KUTTA,
        _driven(Pendulum(2.0, 2.0, Given("pendulum")), lambda x: [np.sin(x) ** 2, np.sin(2 * x)]), (16, 32, 64), 4,
    ),
    OrderCase("forced_reaction_diffusion", "one mode, second differences", _spreading, (16, 32, 64), 2),
    OrderCase(
        "lorenz96", TOLERANCE, _against_scipy(Lorenz96(times=1.0, sites=8, spin_up=0.0)),
        (10**6, 10**7, 10**8, 10**9), 1,
    ),
    OrderCase(
        "lorenz96_two_scale", TOLERANCE,
        _against_scipy(Lorenz96TwoScale(times=0.2, sites=4, fast=4, spin_up=0.0)), (10**6, 10**7, 10**8, 10**9), 1,
    ),
]  # fmt: skip
