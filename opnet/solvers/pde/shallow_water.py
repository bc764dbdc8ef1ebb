"""`ShallowWater`: a round column of water that collapses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.evolution import Evolution, Solved
from opnet.solvers.pde.schemes.cell_means import defect, solve_cells
from opnet.solvers.pde.schemes.finite_volume import FiniteVolume
from opnet.solvers.pde.schemes.ghosts import SIDES
from opnet.solvers.pde.schemes.limiters import LIMITERS
from opnet.solvers.pde.schemes.saint_venant import SaintVenant
from opnet.spaces.grid import Grid
from opnet.spaces.streams import stream


@register("problem", "shallow_water")
@dataclass(frozen=True)
class ShallowWater(Evolution):
    r"""The radial dam break in shallow water, on (-2.5, 2.5)^2 over a flat bottom.

    .. math:: \partial_t h + \nabla \cdot (h v) = 0, \qquad
       \partial_t (h v) + \nabla \cdot (h v v^T + \tfrac{1}{2} g h^2 I) = 0, \qquad
       h(x, 0) = \begin{cases} h_{in} & |x| \le r \\ h_{out} & |x| > r \end{cases}, \quad v(x, 0) = 0,
       \quad r \sim U(r_{min}, r_{max})

    M. Takamoto et al., *PDEBench*, arXiv:2210.07182, appendix D, whose numbers are the defaults, with its sides: zero
    gradients, through which waves leave ("outflow"; by t = 1 none has arrived). All quantities are dimensionless.

    Inputs are the values of h(x, 0) at the midpoints of the cells. Targets are cell means of h, and the velocities of
    the mean momentum, which PDEBench leaves out; the first frame of a trajectory has the means of h(x, 0), from which
    the solver starts. PDEBench starts from the values at midpoints, which do not tell apart radii between the same
    midpoints.

    Args:
        times: see `Evolution`; PDEBench has 0, .01, ..., 1.
        gravity: g; positive.
        h_in, h_out: heights inside and outside; positive.
        r_min, r_max: limits of the radius; 0 < r_min < r_max < 2.5.
        sides: "outflow", "wall" or "periodic".
        limiter: "van_leer", "monotonised_central" or "minmod".

    Raises:
        ValueError: for parameters out of these ranges.

    >>> samples = ShallowWater(times=0.2).sample(0, [0, 7], 32)
    >>> samples.targets.shape, bool((samples.diagnostics["minimum_height"] > 0.99).all())
    (torch.Size([2, 3, 32, 32]), True)
    """

    times: float | tuple[float, ...] = 1.0
    gravity: float = 1.0
    h_in: float = 2.0
    h_out: float = 1.0
    r_min: float = 0.3
    r_max: float = 0.7
    sides: str = "outflow"
    limiter: str = "van_leer"

    equation: ClassVar[str] = (
        "h_t + div(h v) = 0, (h v)_t + div(h v v^T + g h^2 / 2 I) = 0 on (-2.5,2.5)^2; h = h_in within a random "
        "radius, h_out outside, v = 0 at first"
    )
    input_names: ClassVar[tuple[str, ...]] = ("h_initial",)
    target_names: ClassVar[tuple[str, ...]] = ("h", "v_x", "v_y")
    units: ClassVar[dict[str, str]] = dict.fromkeys(
        ["x", "t", "h_initial", "h", "v_x", "v_y", "gravity", "h_in", "h_out", "r_min", "r_max", "sides", "limiter"],
        "1",
    )
    solver: ClassVar[str] = (
        "finite volumes: MUSCL reconstruction, HLLC fluxes, SSP Runge-Kutta steps of order 3 at Courant number .8 "
        "(order 2 for smooth solutions, about 1 in L1 across shocks)"
    )
    error_method: ClassVar[str] = (
        "d / (1 - 2^-1.25) = 1.73 d, with d the relative L2 difference, in the worst channel, to the means over 2 x 2 "
        "cells of the solution on cells half as large. Against the radial equations on 4096 cells at t = 1 (8 samples "
        "each at 32^2 to 128^2) the median of estimate / true error is .98 to 1.01 and its 5 to 95 % range .94 to "
        "1.07"
    )
    diagnostics: ClassVar[dict[str, str]] = {
        "minimum_height": "least height over all cells and steps of the run; not positive would be a dry bottom",
        "mass_defect": "largest change of the mean height over the frames, relative to it: rounding, until waves leave",
    }
    order: ClassVar[float] = 1.25

    def __post_init__(self) -> None:
        for name in ("gravity", "h_in", "h_out"):
            value = getattr(self, name)
            if not 0 < value < torch.inf:
                raise ValueError(f"ShallowWater.{name}: expected a positive finite number, found {value}")
        if not 0 < self.r_min < self.r_max < 2.5:
            raise ValueError(
                f"ShallowWater.r_min, r_max: expected 0 < r_min < r_max < 2.5, found {self.r_min} and {self.r_max}"
            )
        for name, choices in (("sides", SIDES), ("limiter", LIMITERS)):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"ShallowWater.{name}: expected one of {', '.join(choices)}, found {getattr(self, name)!r}"
                )
        _ = self.frames

    def grid(self, resolution: int) -> Grid:
        if resolution < 4:
            raise ValueError(f"ShallowWater: expected a resolution of at least 4, found {resolution}")
        boundary = "periodic" if self.sides == "periodic" else "neumann"
        return Grid((resolution, resolution), ((-2.5, 2.5), (-2.5, 2.5)), boundary, "cell")

    def radius(self, seed: int, index: int) -> float:
        """Of the column."""
        return float(stream(seed, index).uniform(self.r_min, self.r_max))

    def height(self, seed: int, indices: Sequence[int], grid: Grid) -> Tensor:
        """h(x, 0) at the nodes of any grid.  # shape: (sample, *grid)"""
        r = torch.linalg.vector_norm(grid.coordinates(), dim=0)
        return torch.stack([torch.where(r <= self.radius(seed, i), self.h_in, self.h_out).double() for i in indices])

    def solve(
        self, seed: int, indices: Sequence[int], grid: Grid, *, refinement: int = 0, device: torch.device | str = "cpu"
    ) -> Solved:
        spacing = tuple(h / 2**refinement for h in grid.spacing)
        scheme = FiniteVolume(SaintVenant(self.gravity), spacing, self.sides, LIMITERS[self.limiter])

        def start(some: Sequence[int], nodes: Grid) -> Tensor:
            h = self.height(seed, some, nodes).unsqueeze(1)
            return torch.cat([h, torch.zeros_like(h), torch.zeros_like(h)], 1)

        w, totals, (lowest, _) = solve_cells(
            scheme, start, indices, grid, self.frames, refinement=refinement, device=device
        )
        inputs = self.height(seed, indices, grid).unsqueeze(1).to(device)
        diagnostics = {"minimum_height": lowest, "mass_defect": defect(totals, 0)}
        return Solved(w, diagnostics, inputs)
