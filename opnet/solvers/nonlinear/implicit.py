"""Gradients of a root by the implicit function theorem."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from opnet.core.status import raise_for_status
from opnet.solvers.linear.base import LinearSolver
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.solve import solve_linear
from opnet.solvers.nonlinear.base import Residual


def differentiable_root(F: Residual, x: Tensor, status: Tensor, adjoint: LinearSolver | None, rtol: float) -> Tensor:
    """x with the gradient of the root of F that it is; (batch, n).

    Differentiating F(x, theta) = 0 gives dx = -J^-1 dF at fixed x: so the residual at x, which autograd follows to
    every tensor that F depends on, takes the gradient -J^-H g.
    """
    if not torch.is_grad_enabled():
        return x
    residual = F(x)
    return _Root.apply(residual, x, (F, status.reshape(-1), adjoint, rtol)) if residual.requires_grad else x


class _Root(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor, x: Tensor, setting: tuple[Any, ...]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.setting = setting
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        if torch.is_grad_enabled():  # the residual was taken at a fixed x, which a second derivative would have to move
            raise RuntimeError(
                "solve_nonlinear: expected first derivatives, found create_graph=True: a root has no second"
            )
        (x,) = ctx.saved_tensors
        F, status, adjoint, rtol = ctx.setting
        asked = (g != 0).any(-1)
        raise_for_status("gradient of solve_nonlinear at an element that failed", torch.where(asked, status, 0))
        tolerance = max(rtol, 8 * torch.finfo(g.dtype).eps)
        J = F.jacobian(torch.where(asked[:, None], x, F.start))
        solution = solve_linear(J.adjoint(), F.elements(g), adjoint or GMRES(), rtol=tolerance)
        return -F.flat(solution.value), None, None
