"""`NewtonKrylov`: inexact Newton steps, safeguarded by a line search."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from opnet.core.expect import expect, integer
from opnet.core.registry import register
from opnet.core.status import Status
from opnet.solvers.linear.base import LinearSolver
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.monitor import Monitor
from opnet.solvers.nonlinear.base import Iteration, NonlinearSolver, Residual, lengths

DECREASE = 1e-4  # of the residual norm, as a fraction of the step length, at least
BACKTRACKS = 25  # steps shorter than 1e-7 or so are of no use


@dataclass(frozen=True)
class EisenstatWalker:
    r"""How exactly each Newton step is solved: as exactly as the last one paid.

    .. math:: \eta_k = \gamma \Bigl(\frac{\lVert F(x_k) \rVert}{\lVert F(x_{k-1}) \rVert}\Bigr)^\alpha,

    not below :math:`\gamma \eta_{k-1}^\alpha` while that exceeds 0.1 (S. C. Eisenstat and H. F. Walker, *SIAM J. Sci.
    Comput.* 17 (1996) 16-32, choice 2). With alpha = 2 and gamma < 1 the iteration converges quadratically.

    Args:
        gamma, alpha: of the formula.
        first: eta_0.
        largest: no eta is above.

    >>> EisenstatWalker(largest=0.5)
    EisenstatWalker(gamma=0.9, alpha=2.0, first=0.5, largest=0.5)
    """

    gamma: float = 0.9
    alpha: float = 2.0
    first: float = 0.5
    largest: float = 0.9

    def __post_init__(self) -> None:
        if not (0 < self.gamma <= 1 and 1 < self.alpha <= 2 and 0 < self.first < 1 and 0 < self.largest < 1):
            raise ValueError(
                f"EisenstatWalker: expected gamma in (0, 1], alpha in (1, 2], first and largest in (0, 1), found {self}"
            )

    def next(self, eta: Tensor, norm: Tensor, previous: Tensor) -> Tensor:
        """eta_k, from eta_{k-1}, ||F(x_k)|| and ||F(x_{k-1})||; one an element."""
        floor = self.gamma * eta**self.alpha
        new = self.gamma * (norm / previous) ** self.alpha
        return torch.where(floor > 0.1, torch.maximum(new, floor), new).clamp(max=self.largest)


@register("nonlinear", "NewtonKrylov")
@dataclass(frozen=True)
class NewtonKrylov(NonlinearSolver):
    r"""Newton's method with `J s = -F(x)` solved by a Krylov method that needs products with J alone.

    .. math:: \lVert F(x) + J s \rVert \le \eta \lVert F(x) \rVert, \qquad x \leftarrow x + t s,

    with the step length t halved or more until ||F|| falls by the fraction 1e-4 t (D. A. Knoll and D. E. Keyes, *J.
    Comput. Phys.* 193 (2004) 357-397, section 2; the line search: C. T. Kelley, *Iterative Methods for Linear and
    Nonlinear Equations*, SIAM 1995, section 8.3). J v is exact, by automatic differentiation of F.
    STAGNATED is a line search that finds no decrease, as at a local minimum of ||F||; BREAKDOWN is one whose s did not
    meet eta, as at a singular J. From far away steps may shorten towards a singular J that is no minimum either (R. H.
    Byrd, M. Marazzi and J. Nocedal, *Math. Program.* 99 (2004) 127-148): start elsewhere, or with `Anderson`.

    Args:
        linear: the method for J s = -F: GMRES, unless J is known to be symmetric. J is known by its products alone;
            what preconditions it is set up for a nearby operator, such as the problem's linear part L:
            `GMRES(preconditioner=Surrogate(L, Multigrid()))`.
        forcing: how exactly: `EisenstatWalker()`, or one eta in (0, 1) for all steps.
        linear_iterations: at most, a step.

    >>> from opnet.solvers.nonlinear.solve import solve_nonlinear
    >>> solve_nonlinear(lambda x: x.exp() - 2, torch.tensor([3.0], dtype=torch.float64), NewtonKrylov()).value
    tensor([0.6931], dtype=torch.float64)
    """

    linear: LinearSolver = field(default_factory=GMRES)
    forcing: EisenstatWalker | float = field(default_factory=EisenstatWalker)
    linear_iterations: int = 200

    def __post_init__(self) -> None:
        expect("NewtonKrylov.linear", self.linear, LinearSolver, "a linear solver such as GMRES()")
        if not isinstance(self.forcing, EisenstatWalker):
            expect("NewtonKrylov.forcing", self.forcing, float, "EisenstatWalker() or a number in (0, 1)")
            if not 0 < self.forcing < 1:
                raise ValueError(f"NewtonKrylov.forcing: expected a number in (0, 1), found {self.forcing}")
        if integer("NewtonKrylov.linear_iterations", self.linear_iterations) < 1:
            raise ValueError(f"NewtonKrylov.linear_iterations: expected at least 1, found {self.linear_iterations}")

    def start(self, F: Residual, target: Tensor) -> NewtonIteration:
        return NewtonIteration(F, self, target)


class NewtonIteration(Iteration):
    def __init__(self, F: Residual, method: NewtonKrylov, target: Tensor) -> None:
        self.F, self.method, self.target = F, method, target
        self.last: tuple[Tensor, Tensor] | None = None

    def step(self, x: Tensor, r: Tensor, monitor: Monitor) -> tuple[Tensor, Tensor]:
        norm = monitor.norms[-1]
        eta = self._forcing(norm)
        self.last = eta, norm
        b = self.F.elements(torch.where(monitor.active[:, None], -r, 0))  # of ended elements nothing is asked
        state = self.method.linear.setup(self.F.jacobian(x))
        # Near the end no more is asked than the target needs.
        goal = torch.maximum(eta * norm, 0.5 * self.target).reshape(self.F.batch_shape)
        solution, inner = state.iterate(b, torch.zeros_like(b), goal, self.method.linear_iterations)
        self.F.evaluations += inner.taken
        s, solved = self.F.flat(solution), ~inner.active & (inner.status == Status.CONVERGED)
        monitor.fail(~torch.isfinite(s).all(-1), Status.BREAKDOWN)
        return self._search(x, s, r, monitor, solved.reshape(-1))

    def _forcing(self, norm: Tensor) -> Tensor:
        forcing = self.method.forcing
        if not isinstance(forcing, EisenstatWalker):
            return torch.full_like(norm, forcing)
        if self.last is None:
            return torch.full_like(norm, forcing.first)
        return forcing.next(self.last[0], norm, self.last[1])

    def _search(self, x: Tensor, s: Tensor, r: Tensor, monitor: Monitor, solved: Tensor) -> tuple[Tensor, Tensor]:
        """The longest step along s tried that lowers ||F|| enough, each element's own."""
        norm, t = monitor.norms[-1], torch.ones_like(monitor.norms[-1])
        for tries in range(BACKTRACKS + 1):
            trial = x + t[:, None] * s
            trial_r = self.F(trial)
            trial_norm = lengths(trial_r)
            short = monitor.active & ~(trial_norm <= (1 - DECREASE * t) * norm)
            if tries == BACKTRACKS or not bool(short.any()):
                break
            # The least point of the parabola through ||F||^2 at 0 (with its slope there, -2 ||F||^2) and at t.
            ratio = (trial_norm / norm) ** 2
            least = t / (ratio - 1 + 2 * t)
            least = torch.where(torch.isfinite(ratio), least.clamp(0.1, 0.5), 0.1)
            t = torch.where(short, t * least, t)
        monitor.fail(short & solved, Status.STAGNATED)
        monitor.fail(short & ~solved, Status.BREAKDOWN)
        return trial, trial_r
