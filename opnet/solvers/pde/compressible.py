"""`Compressible`: what the problems of a viscous ideal gas have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from opnet.solvers.pde.evolution import Evolution, Solved
from opnet.solvers.pde.schemes.cell_means import defect, solve_cells
from opnet.solvers.pde.schemes.euler import Euler
from opnet.solvers.pde.schemes.finite_volume import FiniteVolume, viscous_stages
from opnet.solvers.pde.schemes.limiters import LIMITERS
from opnet.solvers.pde.schemes.newtonian import Newtonian
from opnet.spaces.grid import Grid

SOLVER = (
    "finite volumes: MUSCL reconstruction, HLLC fluxes, SSP Runge-Kutta steps of order 3 at Courant number .8, central "
    "viscous fluxes, by Runge-Kutta-Legendre stages where they are stiff (order 2 for smooth solutions, about 1 in L1 "
    "across shocks)"
)
MINIMA = {
    "minimum_density": "least cell mean of the density over all steps of the run; the run fails if it is not positive",
    "minimum_pressure": "least pressure of a cell over all steps of the run; the run fails if it is not positive",
}
DEFECTS = {
    "mass_defect": "largest change of the total mass over the frames, relative to it: rounding, in a periodic box",
    "energy_defect": "largest change of the total energy over the frames, relative to it: rounding, in a periodic box",
}
DENSITY, SPEED = 0.5, 1.0  # low ones, for the number of viscous stages; a sample with lower ones takes shorter steps


class Compressible(Evolution):
    r"""A viscous ideal gas without conduction of heat.

    .. math:: \partial_t \rho + \nabla \cdot (\rho v) = 0, \quad
       \partial_t (\rho v) + \nabla \cdot (\rho v v^T + p I - \sigma) = 0, \quad
       \partial_t E + \nabla \cdot ((E + p) v - \sigma v) = 0

    with E and sigma those of `Euler` and `Newtonian`: M. Takamoto et al., *PDEBench*, arXiv:2210.07182, appendix D.
    (The code published with it multiplies both viscosities by the local density, and leaves out mixed derivatives.)

    Concrete problems are frozen dataclasses with the fields below, and `initial`.

    Attributes:
        gamma: ratio of specific heats.
        eta, zeta: shear and bulk viscosity.
        limiter: "van_leer", "monotonised_central" or "minmod".
        sides: of the box, as `with_ghosts` knows them.
        channels: of primitive states.
    """

    gamma: float
    eta: float
    zeta: float
    limiter: str

    solver: ClassVar[str] = SOLVER
    sides: ClassVar[str] = "periodic"

    @abstractmethod
    def initial(self, seed: int, indices: Sequence[int], grid: Grid) -> Tensor:
        """Density, velocity and pressure at t = 0 at the nodes of any grid.  # shape: (sample, channel, *grid)"""

    def check(self) -> None:
        """Refuse what no gas has.

        Raises:
            ValueError: naming the parameter.
        """
        name = type(self).__name__
        if not 1 < self.gamma < torch.inf:
            raise ValueError(f"{name}.gamma: expected a finite number above 1, found {self.gamma}")
        for key in ("eta", "zeta"):
            if not 0 <= getattr(self, key) < torch.inf:
                raise ValueError(f"{name}.{key}: expected a finite number of at least 0, found {getattr(self, key)}")
        if self.limiter not in LIMITERS:
            raise ValueError(f"{name}.limiter: expected one of {', '.join(LIMITERS)}, found {self.limiter!r}")
        _ = self.frames

    def scheme(self, spacing: tuple[float, ...]) -> FiniteVolume:
        """What solves on cells of this spacing."""
        viscosity = Newtonian(self.eta, self.zeta) if self.eta or self.zeta else None
        scheme = FiniteVolume(Euler(self.gamma), spacing, self.sides, LIMITERS[self.limiter], viscosity=viscosity)
        if viscosity is None:
            return scheme
        stages = viscous_stages(viscosity, spacing, density=DENSITY, speed=SPEED, cfl=scheme.cfl)
        return FiniteVolume(scheme.law, spacing, self.sides, scheme.limiter, viscosity=viscosity, stages=stages)

    def solve(
        self, seed: int, indices: Sequence[int], grid: Grid, *, refinement: int = 0, device: torch.device | str = "cpu"
    ) -> Solved:
        w, totals, (density, pressure) = solve_cells(
            self.scheme(tuple(h / 2**refinement for h in grid.spacing)),
            lambda some, nodes: self.initial(seed, some, nodes),
            indices,
            grid,
            self.frames,
            refinement=refinement,
            device=device,
        )
        # A pressure that was not positive leaves no trace but this where later steps repair it.
        lost = ~((density > 0) & (pressure > 0))
        w = torch.where(lost.reshape(-1, *(1,) * (w.ndim - 1)), torch.nan, w)
        known = {
            "minimum_density": density,
            "minimum_pressure": pressure,
            "mass_defect": defect(totals, 0),
            "energy_defect": defect(totals, -1),
        }
        diagnostics = {name: known[name] for name in self.diagnostics}
        return Solved(w, diagnostics, self.initial(seed, indices, grid).to(device))
