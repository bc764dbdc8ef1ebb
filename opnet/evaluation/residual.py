"""`PDEResidual`: how far a prediction is from solving the equation, whatever the targets are."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import ClassVar

import torch
from torch import Tensor
from torch.linalg import vector_norm

from opnet.core.expect import expect
from opnet.data.batch import Batch
from opnet.evaluation.metrics import Criterion, ratio
from opnet.solvers.pde.elliptic import Elliptic
from opnet.solvers.pde.problem import Problem
from opnet.solvers.pde.semilinear_periodic import SemilinearPeriodic
from opnet.spaces.grid import Grid
from opnet.spaces.norms import l2_norm


@dataclass(frozen=True)
class PDEResidual(Criterion):
    """The relative residual of a problem's own discrete equation, as a loss that needs no targets.

    Of an `Elliptic` problem (`Darcy`, `Poisson`, ...), with A and b as its solver has them for the inputs a,

        ||b - A(a) u|| / ||b||    in the grid's norm;

    of a `SemilinearPeriodic` one (`Burgers`, `AllenCahn`, `NavierStokes`, ...), whose frames stand as channels in
    inputs and predictions (`Dataset.windows`), with u_0 the last frame of the inputs, u_1, ..., u_K those predicted and
    F(u) = L u + M g(u) by spectral derivatives, the root mean square over n of

        ||(u_{n+1} - u_n) / dt - (F(u_n) + F(u_{n+1})) / 2|| / ||F(u_0)||,

    the trapezoidal rule. A solution that the grid resolves has the residual O(dt^2), so that frames must lie close; of
    a front thinner than a few nodes F is far off, whoever computed it. Inputs and predictions are physical, not
    normalised: wrap the model in `Normalised`. Computed in float64, for differences of close values.

    Good for data without solutions, and beside a metric to see what a prediction violates. As a loss it is badly
    conditioned: its gradient is A^T's, so that smooth errors, those that count in L2, are learned last; start from a
    model trained on data, or expect many more steps.

    Args:
        problem: whose equation; its parameters must be those of the data.
        dt: for a problem in time, and only there: the time from one frame to the next.

    Raises:
        ValueError: for a problem of another kind or whose system is not on the grid's nodes, a dt that does not fit it,
            predictions or inputs that are not on the problem's grid or hold other channels, a source that vanishes.

    Source: Li et al., Physics-Informed Neural Operator for Learning Partial Differential Equations, 2021,
    arXiv:2111.03794, equation 8, here with the problem's discrete operator.

    >>> from opnet.solvers.pde.poisson import Poisson
    >>> problem, u = Poisson(), torch.randn(1, 1, 8, 8, dtype=torch.float64)
    >>> f = problem.posed(torch.ones_like(u), problem.grid(8))[0].apply(u)
    >>> loss, batch = PDEResidual(problem), Batch(f, u, problem.grid(8))
    >>> float(loss.of(u, batch)), round(float(loss.of(0.5 * u, batch)), 6)
    (0.0, 0.5)
    """

    problem: Problem
    dt: float | None = None
    unit: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        expected = "a steady elliptic problem such as Darcy() or a semilinear periodic one such as Burgers()"
        expect("PDEResidual.problem", self.problem, (Elliptic, SemilinearPeriodic), expected)
        if isinstance(self.problem, Elliptic):
            if self.dt is not None:
                raise ValueError(f"PDEResidual.dt: expected None for a steady problem, found {self.dt}")
        elif self.dt is None or not 0 < self.dt < inf:
            raise ValueError(f"PDEResidual.dt: expected the positive time between frames, found {self.dt}")

    def of(self, prediction: Tensor, batch: Batch) -> Tensor:
        grid, frame = self._grid(batch), len(self.problem.target_names)
        steady = isinstance(self.problem, Elliptic)
        given = len(self.problem.input_names) if steady else frame
        for name, values, channels in (("prediction", prediction, frame), ("inputs", batch.inputs, given)):
            fits = values.ndim == 2 + grid.dim and tuple(values.shape[2:]) == grid.shape
            if not (fits and values.is_floating_point() and values.shape[1] >= 1 and values.shape[1] % channels == 0):
                wanted = f"(batch, {channels if steady else f'frames of {channels}'}, *{grid.shape})"
                raise ValueError(
                    f"{self.name}: {name}: expected floating {wanted}, found {values.dtype} {tuple(values.shape)}"
                )
            if steady and values.shape[1] != channels:
                raise ValueError(f"{self.name}: {name}: expected {channels} channels, found {values.shape[1]}")
        if len(prediction) != len(batch.inputs):
            raise ValueError(
                f"{self.name}: expected as many predictions as inputs, found {len(prediction)} and {len(batch.inputs)}"
            )
        u, inputs = prediction.double(), batch.inputs.double()
        return self._steady(u, inputs, grid) if steady else self._in_time(u, inputs, grid)

    def _grid(self, batch: Batch) -> Grid:
        domain = batch.domain
        if not isinstance(domain, Grid) or domain != self.problem.grid(domain.shape[0]):
            raise ValueError(f"{self.name}: expected data on the problem's grid, found {domain}")
        return domain

    def _steady(self, u: Tensor, inputs: Tensor, grid: Grid) -> Tensor:
        assert isinstance(self.problem, Elliptic)
        A, b = self.problem.posed(inputs, grid)
        if A.in_shape != grid.shape:
            raise ValueError(
                f"{self.name}: expected a problem whose system is on the nodes of its grid, {grid.shape}, found one on "
                f"{A.in_shape} others"
            )
        residual = (b - A.apply(self.problem.unknowns(u))).unsqueeze(1)
        return ratio(self, l2_norm(residual, grid), l2_norm(b.unsqueeze(1), grid), "sources")

    def _in_time(self, u: Tensor, inputs: Tensor, grid: Grid) -> Tensor:
        problem, frame = self.problem, len(self.problem.target_names)
        assert isinstance(problem, SemilinearPeriodic)
        assert self.dt is not None
        states = torch.cat([inputs[:, -frame:], u], 1).unflatten(1, (-1, frame))
        rates = problem.time_derivative(states.flatten(0, 1), grid).unflatten(0, states.shape[:2])
        residual = torch.diff(states, dim=1) / self.dt - (rates[:, 1:] + rates[:, :-1]) / 2
        steps = residual.shape[1]
        norms = l2_norm(residual.flatten(0, 1), grid).unflatten(0, (-1, steps))
        first = l2_norm(rates[:, 0], grid)
        return ratio(self, vector_norm(norms, dim=1) / steps**0.5, first, "initial rates")
