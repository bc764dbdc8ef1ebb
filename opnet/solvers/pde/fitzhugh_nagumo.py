"""`FitzHughNagumo`: an activator and an inhibitor between walls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.pde.periodic_box import evaluate, squared
from opnet.solvers.pde.semilinear_periodic import SemilinearPeriodic
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.fourier import FourierField
from opnet.spaces.grid import Grid


@register("problem", "fitzhugh_nagumo")
@dataclass(frozen=True)
class FitzHughNagumo(SemilinearPeriodic):
    r"""`u_t = D_u Lap u + u - u^3 - k - v`, `v_t = D_v Lap v + u - v` on (-1, 1)^2 without flux through the boundary.

    The two-dimensional diffusion-reaction of PDEBench (Takamoto et al., arXiv:2210.07182): D_u = 1e-3,
    D_v = 5e-3, k = 5e-3, t to 5 in 101 frames, cells of 128^2. As published both channels start with N(0, 1) in every
    cell: `initial=NodeNoise(), initial_v=NodeNoise()`, another experiment on every grid, which has no limit as cells
    shrink. The default starts with smooth fields of the same variance whose slopes vanish at the walls.

    No flux is even reflection: the equations are solved on the periodic box of twice the side. (For the kinetics, R.
    FitzHugh, Biophys. J. 1 (1961) 445-466.) All quantities are dimensionless.

    Args:
        times: a number asks for the map from the initial state to the solution then, a tuple for trajectories.
        du, dv: D_u, D_v.
        k: the constant of the activator.
        initial, initial_v: of u and v, with a Neumann boundary.
        nodes, step: see `SemilinearPeriodic`; nodes between the walls.

    Raises:
        ValueError: unless du, dv, nodes and step are positive and k is finite.

    >>> samples = FitzHughNagumo(times=0.1, nodes=32).sample(0, [0], 8)
    >>> samples.targets.shape, samples.grid.boundary[0], samples.grid.nodes[0]
    (torch.Size([1, 2, 8, 8]), ('neumann', 'neumann'), 'cell')
    """

    times: float | tuple[float, ...] = 5.0
    du: float = 1e-3
    dv: float = 5e-3
    k: float = 5e-3
    initial: RandomField = field(default_factory=lambda: FourierField(8, boundary="neumann"))
    initial_v: RandomField = field(default_factory=lambda: FourierField(8, boundary="neumann"))
    nodes: int = 256
    step: float = 0.05

    equation: ClassVar[str] = (
        "u_t = D_u Lap u + u - u^3 - k - v, v_t = D_v Lap v + u - v on (-1, 1)^2, no flux through the boundary"
    )
    input_names: ClassVar[tuple[str, ...]] = ("u", "v")
    target_names: ClassVar[tuple[str, ...]] = ("u", "v")
    units: ClassVar[dict[str, str]] = dict.fromkeys(
        ("x", "t", "u", "v", "du", "dv", "k", "initial", "initial_v", "nodes", "step"), "1"
    )

    def __post_init__(self) -> None:
        self.check("du", "dv", "nodes", "step", finite=("k",), fields=("initial", "initial_v"))

    @property
    def extent(self) -> tuple[tuple[float, float], ...]:
        return ((-1.0, 1.0),) * 2

    @property
    def initial_fields(self) -> tuple[RandomField, ...]:
        return (self.initial, self.initial_v)

    def grid(self, resolution: int) -> Grid:
        self.check_resolution(resolution)
        return Grid((resolution,) * 2, self.extent, "neumann", "cell")

    def box(self, nodes: int) -> Grid:
        """The square and its mirror images, as a periodic box."""
        return Grid((2 * nodes,) * 2, ((-1.0, 3.0),) * 2, "periodic", "cell")

    def drawn(
        self, field: RandomField, seed: int, indices: Sequence[int], grid: Grid, box: Grid, key: Sequence[int]
    ) -> Tensor:
        side = grid if field.depends_on_grid else self.grid(box.shape[0] // 2)
        values = field.sample(seed, indices, side, key=key)
        for axis in (1, 2):
            values = torch.cat([values, values.flip(axis)], axis)
        return evaluate(values, self.box(side.shape[0]), box)

    def symbols(self, k: Sequence[Tensor]) -> list[Tensor]:
        k2 = squared(k)
        return [1 - self.du * k2, -1 - self.dv * k2]

    def nonlinear(self, u: Tensor) -> Tensor:
        return torch.stack([-(u[:, 0] ** 3) - self.k - u[:, 1], u[:, 0]], 1)
