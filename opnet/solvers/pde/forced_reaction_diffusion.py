"""`ForcedReactionDiffusion`: a source that reacts and diffuses, from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import ClassVar

import torch

from opnet.core.expect import expect
from opnet.core.registry import register
from opnet.linops.dense import Dense
from opnet.solvers.ode.fields import Semilinear
from opnet.solvers.ode.methods.exponential import ETDRK4
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.pde.evolution import Evolution, Solved
from opnet.solvers.pde.threads import one_thread
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.rbf import RBFField
from opnet.spaces.grid import Grid

INTERVALS = 256  # at least, that s is solved on


@register("problem", "forced_reaction_diffusion")
@dataclass(frozen=True)
class ForcedReactionDiffusion(Evolution):
    r"""`s_t = D s_xx + k s^2 + u(x)` on (0, 1), s = 0 at both ends and at the start: the map from u to s(x, t).

    L. Lu, P. Jin and G. E. Karniadakis, *DeepONet*, arXiv:1910.03193, section 4.3, with D = k = .01 and t up to 1; u is
    a Gaussian process with a squared exponential kernel of length .2. All quantities are dimensionless.

    Second differences on at least 256 intervals that hold all nodes, and ETDRK4 in steps of at most .01. At the start u
    need not vanish at the ends as s does, so that s has layers there, of width (D t)^(1/2).

    Args:
        times: a number asks for the map from u to the solution then, a tuple for trajectories.
        diffusion, reaction: D and k.
        input: the distribution of u.
        step: the largest step in time.

    Raises:
        ValueError: unless diffusion and step are positive and reaction is finite.

    >>> samples = ForcedReactionDiffusion(times=(0.0, 0.5, 1.0)).sample(0, [0], 50)
    >>> samples.targets.shape, float(samples.discretisation_error) < 1e-4
    (torch.Size([1, 3, 1, 50]), True)
    """

    times: float | tuple[float, ...] = tuple(i / 100 for i in range(101))
    diffusion: float = 0.01
    reaction: float = 0.01
    input: RandomField = field(default_factory=lambda: RBFField(0.2))
    step: float = 0.01

    equation: ClassVar[str] = (
        "s_t = D s_xx + k s^2 + u(x), x in (0, 1); s = 0 at x = 0, 1 and at t = 0; D = diffusion, k = reaction"
    )
    input_names: ClassVar[tuple[str, ...]] = ("u",)
    target_names: ClassVar[tuple[str, ...]] = ("s",)
    units: ClassVar[dict[str, str]] = dict.fromkeys(("x", "t", "u", "s", "diffusion", "reaction", "input", "step"), "1")
    order: ClassVar[float] = 2
    solver: ClassVar[str] = "second differences on at least 256 intervals (order 2); ETDRK4 in equal steps (order 4)"
    error_method: ClassVar[str] = (
        "4/3 of the relative L2 difference, over all frames of the target, to the solution with half the spacing and "
        "half the step"
    )

    def __post_init__(self) -> None:
        expect("ForcedReactionDiffusion.input", self.input, RandomField, "a random field such as RBFField(0.2)")
        for name, least in (("diffusion", 0.0), ("step", 0.0), ("reaction", -torch.inf)):
            if not least < getattr(self, name) < torch.inf:
                kind = "positive finite" if least == 0 else "finite"
                raise ValueError(
                    f"ForcedReactionDiffusion.{name}: expected a {kind} number, found {getattr(self, name)}"
                )

    def grid(self, resolution: int) -> Grid:
        if resolution < 2:
            raise ValueError(f"ForcedReactionDiffusion: expected a resolution of at least 2, found {resolution}")
        return Grid((resolution,), boundary="dirichlet", nodes="vertex")

    def solve(
        self, seed: int, indices: Sequence[int], grid: Grid, *, refinement: int = 0, device: torch.device | str = "cpu"
    ) -> Solved:
        factor = ceil(INTERVALS / grid.intervals[0]) * 2**refinement
        fine = grid.resized(grid.intervals[0] * factor + 1)
        u = self.input.sample(seed, indices, fine).to(device)
        inner = slice(1, -1)
        n, h = fine.intervals[0] - 1, fine.spacing[0]
        beside = torch.diag(u.new_ones(n - 1), 1)
        second = (beside + beside.T - 2 * torch.eye(n).to(u)) / h**2
        equation = Semilinear(
            Dense(self.diffusion * second), lambda t, s, f: self.reaction * s * s + f, (u[:, inner].contiguous(),)
        )
        ts = torch.tensor(self.frames, dtype=torch.float64, device=device)
        start = torch.zeros_like(u[:, inner])
        with one_thread():
            states = solve_ode(equation, start, ts, ETDRK4(), step=self.step / 2**refinement, throw=False).ys
        s = torch.nn.functional.pad(states, (1, 1))[..., ::factor]
        return Solved(s.transpose(0, 1)[:, :, None], inputs=u[:, None, ::factor])
