"""`DrivenODE`: what an ordinary differential equation makes of its input function."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import ceil
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.errors import SolveError
from opnet.core.expect import expect
from opnet.core.status import Status
from opnet.solvers.ode.fields import Field
from opnet.solvers.ode.methods.explicit import RK4
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.pde.evolution import relative_difference
from opnet.solvers.pde.problem import Problem, Samples
from opnet.solvers.pde.threads import one_thread
from opnet.spaces.fields.base import RandomField
from opnet.spaces.grid import Grid


class DrivenODE(Problem):
    """The operator u -> s of `s' = g(s, u(x))`, s(0) = 0, on (0, length): both functions at the nodes of one grid.

    Solved by the classical Runge-Kutta method in equal steps, at least `steps` and a whole number between nodes; u is
    evaluated wherever a step asks for it, not interpolated. Concrete problems are frozen dataclasses.
    """

    length: float
    steps: int
    input: RandomField

    input_names: ClassVar[tuple[str, ...]] = ("u",)
    solver: ClassVar[str] = (
        "the classical Runge-Kutta method (order 4) in equal steps, 400 unless stated, with the exact input function"
    )
    error_method: ClassVar[str] = (
        "16/15 of the relative L2 difference to the solution with half the step, in the worst channel"
    )

    @abstractmethod
    def change(self, s: list[Tensor], u: Tensor) -> list[Tensor]:
        """g: the derivative of every target.  # shape: (sample,) each"""

    def grid(self, resolution: int) -> Grid:
        if resolution < 2:
            raise ValueError(f"{type(self).__name__}: expected a resolution of at least 2, found {resolution}")
        return Grid((resolution,), ((0.0, self.length),), "neumann", "vertex")

    def sample(
        self,
        seed: int,
        indices: Sequence[int],
        resolution: int,
        *,
        estimate_error: bool = True,
        device: torch.device | str = "cpu",
    ) -> Samples:
        grid, indices = self.grid(resolution), [int(i) for i in indices]
        if not indices:
            raise ValueError(f"{type(self).__name__}.sample: expected at least one index, found none")
        with one_thread():
            u, s = self._solve(seed, indices, grid, 1, device)
            unknown = s.new_full((len(indices),), torch.nan)
            error = unknown
            if estimate_error:
                _, finer = self._solve(seed, indices, grid, 2, device)
                error = relative_difference(s[:, None], finer[:, None]) * 16 / 15
        return Samples(u, s, unknown, error, grid)

    def _solve(
        self, seed: int, indices: list[int], grid: Grid, refinement: int, device: torch.device | str
    ) -> tuple[Tensor, Tensor]:
        """u and s at the nodes.  # shape: (sample, channel, node)"""
        intervals = grid.shape[0] - 1
        between = refinement * ceil(self.steps / intervals)
        halves = grid.resized(2 * between * intervals + 1)  # where steps begin, end and are halfway
        u = self.input.sample(seed, indices, halves).to(device)
        h = grid.spacing[0] / between

        def f(x: Tensor, s: Tensor, u: Tensor) -> Tensor:
            place = torch.round(x * (2 / h)).long().reshape(-1).expand(len(u))
            return torch.stack(self.change(list(s.unbind(-1)), u.gather(1, place[:, None])[:, 0]), -1)

        start = u.new_zeros(len(indices), len(self.target_names))
        solution = solve_ode(Field(f, (u,)), start, grid.axis(0, device=device), RK4(), step=h, throw=False)
        for index, code, x in zip(indices, solution.status.tolist(), solution.reached.tolist(), strict=True):
            if not Status(code).ok:
                raise SolveError(
                    f"{type(self).__name__} sample {index} of seed {seed}: {Status(code).meaning} at x = {x:g}",
                    status=code,
                    index=index,
                    time=x,
                )
        return u[:, None, :: 2 * between], solution.ys.permute(1, 2, 0)

    def check(self, *positive: str) -> None:
        """Raise a `ValueError` unless these arguments are positive and the input is a field."""
        name = type(self).__name__
        expect(f"{name}.input", self.input, RandomField, "a random field such as RBFField(0.2)")
        for argument in positive:
            value = getattr(self, argument)
            if not 0 < value < torch.inf:
                raise ValueError(f"{name}.{argument}: expected a positive finite number, found {value}")
