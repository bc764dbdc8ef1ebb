"""`Newtonian`: viscous stresses of a compressible fluid, by central differences."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from opnet.solvers.pde.schemes.ghosts import without_ghosts


@dataclass(frozen=True)
class Newtonian:
    r"""Stresses linear in the velocity's gradient, with their work.

    .. math:: \sigma = \eta (\nabla v + \nabla v^T - \tfrac{2}{3} (\nabla \cdot v) I) + \zeta (\nabla \cdot v) I,
       \qquad \partial_t (\rho, \rho v, E) = (0, \nabla \cdot \sigma, \nabla \cdot (\sigma v))

    (L. D. Landau and E. M. Lifshitz, *Fluid Mechanics*, Pergamon 1987, section 15; the fluid is three-dimensional
    whatever the number of axes on which it varies). Derivatives along the normal of a face are differences of the two
    cells beside it, others means of their central differences: conservative, of order 2.

    Args:
        eta: shear viscosity, mass / (length time).
        zeta: bulk viscosity, likewise.

    Raises:
        ValueError: if one is negative.
    """

    eta: float
    zeta: float

    def __post_init__(self) -> None:
        for name in ("eta", "zeta"):
            if not 0 <= getattr(self, name) < inf:
                raise ValueError(
                    f"Newtonian.{name}: expected a finite number of at least 0, found {getattr(self, name)}"
                )

    def limit(self, spacing: tuple[float, ...]) -> float:
        """The longest stable step of Euler's method, divided by the density; infinite without viscosity."""
        largest = 4 / 3 * self.eta + self.zeta  # of the diffusivities of rho v
        return 1 / (2 * largest * sum(h**-2 for h in spacing)) if largest > 0 else inf

    def rate(self, w: Tensor, spacing: tuple[float, ...]) -> Tensor:
        """The rate of the conserved variables.

        Args:
            w: a primitive state with one ghost cell on every side, (channel, sample, *grid).

        Returns:
            (channel, sample, *inner)
        """
        v, dim = w[1:-1], len(spacing)
        inner = without_ghosts(v)
        rate = w.new_zeros((2 + dim, *inner.shape[1:]))
        for axis, h in enumerate(spacing):
            # v with its ghosts along the axis: on faces, gradient[j] = dv / dx_j
            here = without_ghosts(v, axis)
            gradient = [
                _diff(here, axis) / h if j == axis else _mean(_central(v, axis, j), axis) / (2 * spacing[j])
                for j in range(dim)
            ]
            stress = [self.eta * (gradient[axis][i] + gradient[i][axis]) for i in range(dim)]
            divergence = torch.stack([gradient[j][j] for j in range(dim)]).sum(0)
            stress[axis] = stress[axis].add_(divergence, alpha=self.zeta - 2 / 3 * self.eta)
            face = _mean(here, axis)
            work = torch.stack([stress[i] * face[i] for i in range(dim)]).sum(0)
            for channel, flux in enumerate((*stress, work), 1):
                rate[channel].add_(flux.diff(dim=1 + axis), alpha=1 / h)
        return rate


def _diff(v: Tensor, axis: int) -> Tensor:
    return v.diff(dim=2 + axis)


def _mean(v: Tensor, axis: int) -> Tensor:
    n = v.shape[2 + axis]
    return (v.narrow(2 + axis, 0, n - 1) + v.narrow(2 + axis, 1, n - 1)).div_(2)


def _central(v: Tensor, axis: int, other: int) -> Tensor:
    """Twice the central difference along `other`, with ghosts along `axis`."""
    v = without_ghosts(v, axis, other)
    n = v.shape[2 + other]
    return v.narrow(2 + other, 2, n - 2) - v.narrow(2 + other, 0, n - 2)
