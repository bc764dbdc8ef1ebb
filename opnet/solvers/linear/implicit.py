"""Gradients of x = A^-1 b by implicit differentiation: one more solve, with the adjoint operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from opnet.solvers.linear.base import SolverState, remove, spread
from opnet.solvers.linear.vectors import norms
from opnet.solvers.linear.verify import report


@dataclass(frozen=True)
class System:
    """A x = b as it is solved: the method's state and the accuracy; with a kernel, x is orthogonal to `basis`."""

    state: SolverState
    rtol: float
    max_iterations: int
    basis: Tensor | None

    def adjoint(self) -> System:
        """A^H y = g, with what was set up for A."""
        return System(self.state.adjoint(), self.rtol, self.max_iterations, self.basis)

    def solve(self, g: Tensor) -> Tensor:
        """The solution of an adjoint system, to the same tolerance.

        A component of g in the kernel is left out: x has none, whatever b and A are.

        Raises:
            SolveError: naming the first element that failed.
        """
        with torch.no_grad():
            g = g if self.basis is None else remove(g, self.basis)
            solution = self.state.solve(g, rtol=self.rtol, max_iterations=self.max_iterations)
        report("solve_linear: the adjoint solve of a gradient", solution, self.rtol)
        return solution.value


class Implicit(torch.autograd.Function):
    r"""The solution `value` of A x = b as a function of b and of the tensors that A depends on.

    .. math:: A^H \lambda = g, \qquad \bar b = \lambda, \qquad
       \bar\theta = -\left(\frac{\partial A(\theta) x}{\partial \theta}\right)^H \lambda

    for a cotangent g of x (M. B. Giles, *Advances in Automatic Differentiation*, Springer 2008, 35-44, section 2.3.1).
    The backward is made of differentiable pieces, lambda being another `Implicit`, so that gradients have gradients.
    """

    @staticmethod
    def forward(context: Any, system: System, value: Tensor, b: Tensor, *tensors: Tensor) -> Tensor:
        x = value.clone()
        context.system = system
        context.save_for_backward(x, *tensors)
        return x

    @staticmethod
    def backward(context: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, *tensors = context.saved_tensors
        system, wanted = context.system, context.needs_input_grad[3:]
        adjoint = system.adjoint()
        y = adjoint.solve(g.detach())
        differentiable = torch.is_grad_enabled()
        with torch.enable_grad():
            # Views, so that the derivative is that of A alone: x depends on the tensors as well.
            own = [t.view_as(t) if differentiable else t.detach() for t in tensors]
            x = x if differentiable else x.detach()
            own = [t.requires_grad_() if needed else t for t, needed in zip(own, wanted, strict=True)]
            A = system.state.operator.rebuild(tuple(own))
            if differentiable:
                y = Implicit.apply(adjoint, y, g, *A.adjoint().tensors)
            gradients = _pull_back(A.apply(_at_rest(x, y, A)), own, wanted, -y, differentiable)
        return None, None, y, *gradients  # summed over the dimensions that b was broadcast to, by autograd


def _pull_back(
    image: Tensor, tensors: list[Tensor], wanted: tuple[bool, ...], cotangent: Tensor, differentiable: bool
) -> list[Tensor | None]:
    """Gradients of <cotangent, image> with respect to the tensors that are wanted; None for the others."""
    chosen = [t for t, needed in zip(tensors, wanted, strict=True) if needed]
    if not chosen:
        return [None] * len(tensors)
    gradients = iter(torch.autograd.grad(image, chosen, cotangent, create_graph=differentiable, materialize_grads=True))
    return [next(gradients) if needed else None for needed in wanted]


def _at_rest(x: Tensor, y: Tensor, A: Any) -> Tensor:
    """x, but zero for elements that failed and that nobody differentiates: 0 times NaN would harm the others."""
    failed = ~torch.isfinite(norms(x.detach(), A)) & (norms(y.detach(), A) == 0)
    return torch.where(spread(failed, A), 0.0, x)
