"""Manufactured flows of a viscous gas: fields that are given, and the source with which they solve the equations."""

from __future__ import annotations

from math import pi

import torch
from torch.func import jvp

from opnet.solvers.pde.schemes.euler import Euler

GAMMA = 1.4
NODES = 10


def fields(x, t):
    """(density, velocity, pressure) at points x (axis, ...); (2 + axis, ...). Periodic on the unit box."""
    phase = [2 * pi * (xi - (0.3 + 0.2 * i) * t) for i, xi in enumerate(x)]
    wave = torch.stack([torch.sin(p) for p in phase]).mean(0)
    velocity = [0.5 + 0.2 * torch.sin(wave + i + t) for i in range(len(x))]
    return torch.stack([1 + 0.2 * wave, *velocity, 2 + 0.3 * torch.cos(wave - t)])


def _along(f, x, axis):
    """d f / d x_axis."""
    unit = torch.zeros_like(x)
    unit[axis] = 1.0
    return jvp(f, (x,), (unit,))[1]


def source(eta, zeta, spacing, until):
    """S(w, t) at the midpoints of cells, and the midpoints.

    By differentiation of the fields at Chebyshev's nodes in time, between which it is interpolated: they are analytic.
    """
    shape = [round(1 / h) for h in spacing]
    axes = [(torch.arange(n, dtype=torch.float64) + 0.5) / n for n in shape]
    x = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    nodes = torch.cos((torch.arange(NODES, dtype=torch.float64) + 0.5) * (pi / NODES))
    values = torch.stack([_source_at(x, (1 + node) * until / 2, eta, zeta) for node in nodes])
    weights = torch.sin((torch.arange(NODES, dtype=torch.float64) + 0.5) * (pi / NODES))
    weights[1::2] *= -1

    def at(w, t):
        distance = 2 * t.reshape(()) / until - 1 - nodes
        if bool((distance == 0).any()):
            return values[int(distance.abs().argmin())][:, None]
        share = weights / distance  # barycentric
        return torch.tensordot(share / share.sum(), values, 1)[:, None]

    return at, x


def _source_at(x, t, eta, zeta):
    """The stresses are written out once more here, from Landau and Lifshitz, eq. (15.3)."""
    law, dim = Euler(GAMMA), len(x)

    def net_flux(y, a):
        w = fields(y, t)
        v, p = w[1:-1], w[-1]
        u = law.conserved(w)
        slopes = [_along(lambda z: fields(z, t)[1:-1], y, j) for j in range(dim)]  # slopes[j][i] = d v_i / d x_j
        divergence = sum(slopes[j][j] for j in range(dim))
        stress = [eta * (slopes[a][i] + slopes[i][a]) for i in range(dim)]
        stress[a] = stress[a] + (zeta - 2 * eta / 3) * divergence
        momentum = [u[1 + i] * v[a] + (p if i == a else 0) - stress[i] for i in range(dim)]
        energy = (u[-1] + p) * v[a] - sum(s * vi for s, vi in zip(stress, v, strict=True))
        return torch.stack([u[0] * v[a], *momentum, energy])

    u_t = jvp(lambda s: law.conserved(fields(x, s)), (t,), (torch.ones_like(t),))[1]
    return u_t + sum(_along(lambda y, a=a: net_flux(y, a), x, a) for a in range(dim))
