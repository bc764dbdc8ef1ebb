"""Burgers' equation against Cole and Hopf's solution, flows against manufactured ones."""

from dataclasses import dataclass, replace
from math import pi

import torch
from pde_orders.case import OrderCase

from opnet.solvers.pde.burgers import Burgers
from opnet.solvers.pde.kolmogorov import KolmogorovFlow
from opnet.solvers.pde.navier_stokes import NavierStokes
from opnet.solvers.pde.schemes.etdrk4 import etdrk4
from opnet.solvers.pde.schemes.kept_modes import KeptModes
from opnet.spaces.fields.base import RandomField


@dataclass(frozen=True)
class TwoWaves(RandomField):
    """`sin x + cos(2 x) / 2`, whatever the sample."""

    def sample(self, seed, indices, grid, *, key=()):
        x = grid.axis(0) * 2 * pi / grid.lengths[0]
        return (torch.sin(x) + torch.cos(2 * x) / 2).expand(len(list(indices)), -1)


def cole_hopf(nu, time, grid):
    """u = -2 nu phi_x / phi on (0, 2 pi), phi the solution of the heat equation from exp(-int u_0 / (2 nu))."""
    n = 4096
    x = 2 * pi * torch.arange(n, dtype=torch.float64) / n
    phi = torch.fft.rfft(torch.exp(-(-torch.cos(x) + torch.sin(2 * x) / 4) / (2 * nu)), norm="forward")
    k = torch.arange(n // 2 + 1, dtype=torch.float64)
    phi = phi * torch.exp(-nu * k**2 * time)
    waves = torch.exp(1j * grid.axis(0)[:, None] * k) * torch.where(k == 0, 1.0, 2.0) * phi
    return -2 * nu * (waves * 1j * k).sum(1).real / waves.sum(1).real


def burgers_error(steps, *, nodes=512):
    problem = Burgers(1.0, nu=0.1, initial=TwoWaves(), nodes=nodes, step=1 / steps)
    grid = problem.grid(100)
    u = problem.solve(0, [0], grid).states[0, -1, 0]
    truth = cole_hopf(0.1, 1.0, grid)
    return float((u - truth).norm() / truth.norm())


def flow_error(problem, steps, nodes=32):
    """Of a flow forced to be two waves of psi, one standing and one that travels, at t = 1."""
    box, nu = problem.box(nodes), problem.viscosity
    unit = 2 * pi / box.lengths[0]
    x, y = (unit * box.axis(axis) for axis in (0, 1))
    X, Y = x[:, None], y[None, :]

    def waves(t):
        t = torch.tensor(t, dtype=torch.float64)
        return torch.cos(t) * torch.cos(X) * torch.sin(Y), torch.sin(2 * X + 0 * Y + t)

    def w(t):
        one, two = waves(t)
        return 2 * one + 4 * two

    def forcing(t):
        one, two = waves(t)
        t = torch.tensor(t, dtype=torch.float64)
        one_x, one_y = -torch.cos(t) * torch.sin(X) * torch.sin(Y), torch.cos(t) * torch.cos(X) * torch.cos(Y)
        two_x = 2 * torch.cos(2 * X + 0 * Y + t)
        change = -2 * torch.sin(t) * torch.cos(X) * torch.sin(Y) + 2 * two_x
        advection = one_y * (2 * one_x + 4 * two_x) - (one_x + two_x) * 2 * one_y
        diffusion = -nu * unit**2 * (4 * one + 16 * two)
        return change + advection - diffusion - problem.force(box.axis(0)[:, None], box.axis(1)[None, :])

    kept, advance = KeptModes(box), problem.tendency(box)
    modes = etdrk4(
        torch.stack(problem.symbols(kept.k)),
        lambda t, modes: advance(t, modes) + kept.of(forcing(t)),
        kept.of(w(0.0))[None, None],
        (0.0, 1.0),
        1 / steps,
    )[-1]
    return float((kept.values(modes[0, 0]) - w(1.0)).norm() / w(1.0).norm())


CASES = [
    OrderCase("burgers", "Cole-Hopf, time", burgers_error, (16, 32, 64), 4),
    OrderCase("navier_stokes", "manufactured, time", lambda n: flow_error(NavierStokes(), n), (16, 32, 64), 4),
    OrderCase(
        "kolmogorov",
        "manufactured, time",
        lambda n: flow_error(replace(KolmogorovFlow(), reynolds=40.0), n),
        (32, 64, 128),
        4,
    ),
]
