"""`DiffusionSorption`: a contaminant that diffuses through a soil which holds part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.errors import SolveError
from opnet.core.registry import register
from opnet.core.status import Status
from opnet.solvers.ode.methods.esdirk import KenCarp4
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.pde.evolution import Evolution, Solved
from opnet.solvers.pde.schemes.tridiagonal_solver import TridiagonalSolver
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import restrict_cells
from opnet.spaces.streams import stream

METHOD = KenCarp4(linear=TridiagonalSolver())


@register("problem", "diffusion_sorption")
@dataclass(frozen=True)
class DiffusionSorption(Evolution):
    r"""Diffusion of a solute that the soil retards, by Freundlich's isotherm, on (0, 1).

    .. math:: R(u) u_t = D u_{xx}, \qquad R(u) = 1 + \frac{1 - \phi}{\phi} \rho_s k_f n_f u^{n_f - 1}, \qquad
       u(0, t) = u_0, \quad -D u_x(1, t) = u(1, t), \qquad u(x, 0) = c \sim U(0, c_{max})

    M. Takamoto et al., *PDEBench*, arXiv:2210.07182, appendix D, whose numbers are the defaults. The right end is
    washed by water that takes away what arrives. The paper prints u = +D u_x there: what leaves would come in, and
    disturbances of width D at that end would grow as exp(t / (D R)), by a factor of e in some thousandths of the unit
    of time; the published code has the sign above. (It puts both conditions half a cell outside of the ends, which is
    of first order; here they hold at the ends.)

    R is infinite where u = 0, and 1 / R is not smooth there. It is computed as u^q / (u^q + ...) with q = 1 - n_f,
    which is exact and 0 at u = 0: nothing is added to u, as the published code adds 1e-6. The solution stays positive
    by the maximum principle, since it starts so, and "minimum" says how close to 0 it came.

    Units are those of the model: length m, time s where D is in m^2/s, concentrations relative to a solubility.

    Args:
        times: see `Evolution`; PDEBench has 0, 5, ..., 500.
        D: effective diffusivity, m^2/s; positive.
        porosity: phi; between 0 and 1.
        rho_s: bulk density of the soil, kg/m^3; not negative, 0 for plain diffusion.
        k_f: Freundlich's parameter, in (m^3/kg) for relative concentrations; not negative.
        n_f: Freundlich's exponent; above 0, at most 1.
        boundary_value: u_0; positive.
        c_max: the largest initial value; positive.
        rtol: of the integration in time, whose error is to be small beside that in space.

    Raises:
        ValueError: for parameters out of these ranges.

    >>> samples = DiffusionSorption(times=50.0, rtol=1e-5).sample(0, [0, 7], 32)
    >>> samples.targets.shape, bool((samples.diagnostics["minimum"] > 0).all())
    (torch.Size([2, 1, 32]), True)
    """

    times: float | tuple[float, ...] = 500.0
    D: float = 5e-4
    porosity: float = 0.29
    rho_s: float = 2880.0
    k_f: float = 3.5e-4
    n_f: float = 0.874
    boundary_value: float = 1.0
    c_max: float = 0.2
    rtol: float = 1e-7

    equation: ClassVar[str] = (
        "R(u) u_t = D u_xx on (0,1), R = 1 + (1 - porosity) / porosity rho_s k_f n_f u^(n_f - 1); u(0) = 1, "
        "-D u_x(1) = u(1), u(x, 0) constant and random"
    )
    input_names: ClassVar[tuple[str, ...]] = ("u_initial",)
    target_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("u_initial", "u", "porosity", "n_f", "boundary_value", "c_max"), "1"),
        "x": "m",
        "t": "s",
        "D": "m^2/s",
        "rho_s": "kg/m^3",
        "k_f": "m^3/kg",
    }
    solver: ClassVar[str] = (
        "finite volumes of order 2 in space; KenCarp4 (order 4, L-stable, steps chosen by its error estimate) in time"
    )
    error_method: ClassVar[str] = (
        "d / (1 - 2^-2) = 1.33 d, with d the relative L2 difference to the means over pairs of cells of the solution "
        "on cells half as large, at a tenth of the tolerance in time. Against solutions on 1024 cells at t = 500 (16 "
        "samples each at 32 to 128 cells) estimate / true error is 1.00 to 1.02"
    )
    diagnostics: ClassVar[dict[str, str]] = {
        "minimum": "least u over all cells and frames: positive, where the solution obeys the maximum principle",
        "maximum": "largest u over all cells and frames: at most the boundary value, where it obeys it",
    }
    order: ClassVar[float] = 2.0

    def __post_init__(self) -> None:
        for name in ("D", "boundary_value", "c_max", "rtol"):
            if not 0 < getattr(self, name) < torch.inf:
                raise ValueError(
                    f"DiffusionSorption.{name}: expected a positive finite number, found {getattr(self, name)}"
                )
        for name in ("rho_s", "k_f"):
            if not 0 <= getattr(self, name) < torch.inf:
                raise ValueError(
                    f"DiffusionSorption.{name}: expected a finite number of at least 0, found {getattr(self, name)}"
                )
        if not 0 < self.porosity < 1:
            raise ValueError(f"DiffusionSorption.porosity: expected a number in (0, 1), found {self.porosity}")
        if not 0 < self.n_f <= 1:
            raise ValueError(f"DiffusionSorption.n_f: expected a number in (0, 1], found {self.n_f}")
        _ = self.frames

    def grid(self, resolution: int) -> Grid:
        if resolution < 4:
            raise ValueError(f"DiffusionSorption: expected a resolution of at least 4, found {resolution}")
        return Grid((resolution,), boundary=(("dirichlet", "robin"),), nodes="cell")

    def initial_value(self, seed: int, index: int) -> float:
        """c of a sample."""
        return float(stream(seed, index).uniform(0, self.c_max))

    def mobility(self, u: Tensor) -> Tensor:
        """1 / R(u), continued by 0 to u <= 0."""
        power = u.clamp(min=0) ** (1 - self.n_f)
        return power / (power + (1 - self.porosity) / self.porosity * self.rho_s * self.k_f * self.n_f)

    def rate(self, u: Tensor, spacing: float) -> Tensor:
        """u_t of cell means.  # shape: (sample, cell) -> the same"""
        inner = u.diff(dim=1) * (self.D / spacing)
        # Half a cell lies between the last means and the ends; on the right the value at the end is eliminated.
        first = (u[:, :1] - self.boundary_value) * (2 * self.D / spacing)
        last = u[:, -1:] / -(1 + spacing / (2 * self.D))
        return self.mobility(u) * torch.cat([first, inner, last], 1).diff(dim=1) / spacing

    def solve(
        self, seed: int, indices: Sequence[int], grid: Grid, *, refinement: int = 0, device: torch.device | str = "cpu"
    ) -> Solved:
        c = torch.tensor([[self.initial_value(seed, i)] for i in indices], dtype=torch.float64, device=device)
        fine = grid.resized(grid.shape[0] * 2**refinement)
        spacing = fine.spacing[0]
        rtol = self.rtol * 10.0**-refinement  # so that what steps in time leave is part of the difference
        solution = solve_ode(
            lambda t, u: self.rate(u, spacing),
            c.expand(-1, fine.shape[0]).contiguous(),
            torch.tensor(self.frames, dtype=torch.float64, device=device),
            METHOD,
            rtol=rtol,
            atol=rtol * self.boundary_value,
            throw=False,
        )
        for index, code, reached in zip(indices, solution.status.tolist(), solution.reached.tolist(), strict=True):
            if not Status(code).ok:
                raise SolveError(
                    f"DiffusionSorption sample {index} of seed {seed} at {grid.shape}: {Status(code).meaning} at time "
                    f"{reached:g}",
                    status=code,
                    index=index,
                    time=reached,
                )
        u = solution.ys.movedim(0, 1)
        states = restrict_cells(u, fine, 2**refinement)[0].unsqueeze(2)
        diagnostics = {"minimum": u.flatten(1).amin(1), "maximum": u.flatten(1).amax(1)}
        return Solved(states, diagnostics)
