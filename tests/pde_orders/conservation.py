"""Orders of conservation laws and of diffusion with sorption."""

from __future__ import annotations

from functools import partial
from math import pi

import numpy as np
import torch
from pde_orders import riemann
from pde_orders.case import OrderCase
from pde_orders.manufactured_flow import GAMMA, fields, source
from pde_orders.radial import radial_dam_break, square_means
from pde_orders.sorption import plain_diffusion, similarity

from opnet.solvers.pde.diffusion_sorption import DiffusionSorption
from opnet.solvers.pde.schemes.euler import Euler
from opnet.solvers.pde.schemes.finite_volume import FiniteVolume
from opnet.solvers.pde.schemes.newtonian import Newtonian
from opnet.solvers.pde.schemes.saint_venant import SaintVenant
from opnet.solvers.pde.shallow_water import ShallowWater

SOD = (1.0, 0.0, 1.0), (0.125, 0.0, 0.1)
STEP = (2.0, 0.0), (1.0, 0.0)


def march(scheme, w, time):
    """Primitive states at a time of one sample; (channel, *grid)."""
    final = scheme.march(scheme.law.conserved(w[:, None]).movedim(0, 1), (0.0, time)).states[:, -1]
    return scheme.law.primitive(final.movedim(0, 1))[:, 0]


def relative_l1(w, exact):
    """In the worst channel."""
    return float(((w - exact).abs().flatten(1).sum(1) / exact.abs().flatten(1).sum(1)).max())


def midpoints(n, low=0.0, high=1.0):
    return low + (high - low) * (torch.arange(n, dtype=torch.float64) + 0.5) / n


def density_wave(n, dim=1):
    """Density carried along the diagonal by a constant velocity, at constant pressure."""
    x = torch.stack(torch.meshgrid(*[midpoints(n)] * dim, indexing="ij")).sum(0)

    def exact(t):
        one = torch.ones_like(x)
        return torch.stack([1 + 0.2 * torch.sin(2 * pi * (x - dim * t)), *[one] * dim, one])

    scheme = FiniteVolume(Euler(GAMMA), (1 / n,) * dim)
    return relative_l1(march(scheme, exact(0.0), 0.5), exact(0.5))


def viscous_flow(n, dim, eta, zeta, stages):
    spacing = (1 / n,) * dim
    at, x = source(eta, zeta, spacing, 0.25)
    scheme = FiniteVolume(Euler(GAMMA), spacing, viscosity=Newtonian(eta, zeta), stages=stages, source=at)
    return relative_l1(march(scheme, fields(x, torch.tensor(0.0)), 0.25), fields(x, torch.tensor(0.25)))


def simple_wave(n):
    """A wave along the second axis with v - 2 c constant, before it breaks: c = f(y - (3 c - 2) t)."""
    y, t = midpoints(n), 0.2

    def exact(t):
        c = torch.ones_like(y)
        for _ in range(100):  # Newton's iteration on the characteristic through y
            phase = 2 * pi * (y - (3 * c - 2) * t)
            c = c - (c - 1 - 0.1 * torch.sin(phase)) / (1 + 0.6 * pi * t * torch.cos(phase))
        zero = torch.zeros_like(c)
        return torch.stack([c**2, zero, 2 * (c - 1)])[:, None].expand(-1, 4, -1)

    scheme = FiniteVolume(SaintVenant(1.0), (1.0, 1 / n))
    w, wanted = march(scheme, exact(0.0), t), exact(t)
    return relative_l1(w[::2], wanted[::2])  # the velocity across is 0


def tube(n, law, states, solution, time):
    """Riemann's problem on (0, 1), against means over cells of its exact solution."""
    x, dense = midpoints(n), midpoints(64 * n).numpy()
    left, right = (torch.tensor(state, dtype=torch.float64)[:, None] for state in states)
    scheme = FiniteVolume(law, (1 / n,), "outflow")
    w = march(scheme, torch.where(x < 0.5, left, right), time)
    exact = torch.from_numpy(solution(*states, (dense - 0.5) / time))
    means = law.primitive(law.conserved(exact[:, None]).unflatten(-1, (n, 64)).mean(-1))[:, 0]
    return relative_l1(w, means)


def radial_column(n):
    problem = ShallowWater(times=0.5)
    grid = problem.grid(n)
    exact = square_means(radial_dam_break(problem.radius(0, 0), 2.0, 1.0, 0.5), grid)
    return relative_l1(problem.solve(0, [0], grid).states[0, -1], exact)


def sorption(n, problem, exact, part=slice(None)):
    u = problem.solve(0, [0], problem.grid(n)).states[0, -1, 0].numpy()[part]
    wanted = exact(midpoints(n).numpy()[part], problem)
    return float(np.linalg.norm(u - wanted) / np.linalg.norm(wanted))


RETARDED = DiffusionSorption(times=20.0, rtol=1e-8)
PLAIN = DiffusionSorption(times=200.0, k_f=0.0, rtol=1e-8)

CASES = [
    OrderCase("compressible_1d", "density wave, space and time", density_wave, (32, 64, 128), 2.0, "L1"),
    OrderCase(
        "compressible_1d",
        "manufactured viscous flow, space and time",
        partial(viscous_flow, dim=1, eta=0.02, zeta=0.01, stages=1),
        (32, 64, 128),
        2.0,
        "L1",
    ),
    OrderCase(
        "compressible_1d",
        "manufactured flow of high viscosity by RKL2, space and time",
        partial(viscous_flow, dim=1, eta=0.2, zeta=0.1, stages=9),
        (32, 64, 128),
        2.0,
        "L1",
    ),
    OrderCase(
        "compressible_2d", "diagonal density wave", partial(density_wave, dim=2), (32, 64, 128), 2.0, "L1", slow=True
    ),
    OrderCase(
        "compressible_2d",
        "manufactured viscous flow, space and time",
        partial(viscous_flow, dim=2, eta=0.02, zeta=0.01, stages=1),
        (16, 32, 64),
        2.0,
        "L1",
        slow=True,
    ),
    OrderCase("shallow_water", "simple wave along an axis", simple_wave, (32, 64, 128), 2.0, "L1"),
    OrderCase(
        "shallow_water",
        "dam break on a line against the exact solution",
        lambda n: tube(n, SaintVenant(1.0), STEP, partial(riemann.water, gravity=1.0), 0.2),
        (64, 128, 256, 512),
        None,
        "L1",
    ),
    OrderCase(
        "shallow_water", "radial dam break against its radial equations", radial_column, (64, 128, 256), None, "L1"
    ),
    OrderCase(
        "shock_tube",
        "Sod's tube against the exact solution",
        lambda n: tube(n, Euler(1.4), SOD, partial(riemann.gas, gamma=1.4), 0.2),
        (64, 128, 256, 512),
        None,
        "L1",
    ),
    OrderCase(
        "diffusion_sorption",
        "similarity solution near the left end",
        lambda n: sorption(n, RETARDED, similarity, slice(0, n // 2)),
        (32, 64, 128),
        2.0,
        slow=True,
    ),
    OrderCase(
        "diffusion_sorption",
        "plain diffusion against its series, both ends",
        lambda n: sorption(n, PLAIN, plain_diffusion),
        (32, 64, 128),
        2.0,
        slow=True,
    ),
]
