"""`SaintVenant`: the conservation laws of shallow water, with the HLLC Riemann solver."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.solvers.pde.schemes.conservation_law import ConservationLaw


@dataclass(frozen=True)
class SaintVenant(ConservationLaw):
    r"""Water of height h and velocity v over a flat bottom.

    .. math:: \partial_t (h, h v) + \nabla \cdot (h v, h v v^T + \tfrac{1}{2} g h^2 I) = 0

    w = (h, v_1, ...), u = (h, h v_1, ...); the bottom is never dry.

    Fluxes are those of HLLC (E. F. Toro, *Shock-Capturing Methods for Free-Surface Shallow Flows*, Wiley 2001, section
    10.4): one state between the outer waves for height and normal velocity, and the middle wave carries what is
    transported, the tangential velocity. The outer speeds are the bounds of Einfeldt (*SIAM J. Numer. Anal.* 25 (1988)
    294-318), with Roe's averages.

    Args:
        gravity: g; positive.

    >>> w = torch.tensor([2.0, 0.5])[:, None]
    >>> SaintVenant(1.0).flux(w, w, 0)[:, 0]  # of equal states it is F itself
    tensor([1.0000, 2.5000])
    """

    gravity: float = 1.0

    def primitive(self, u: Tensor) -> Tensor:
        w = u.clone()
        w[1:].div_(u[0])
        return w

    def conserved(self, w: Tensor) -> Tensor:
        u = w.clone()
        u[1:].mul_(w[0])
        return u

    def sound(self, w: Tensor) -> Tensor:
        return (w[0] * self.gravity).sqrt_()

    def flux(self, left: Tensor, right: Tensor, axis: int) -> Tensor:
        slowest, fastest = self._bounds(left, right, axis)
        slowest, fastest = slowest.clamp_(max=0), fastest.clamp_(min=0)  # which leaves one side's flux if none crossed
        q_left, q_right = left[0] * left[1 + axis], right[0] * right[1 + axis]
        F = torch.empty_like(left)
        scale = 1 / (fastest - slowest)
        a, b, jump = fastest * scale, slowest * scale, slowest * fastest * scale
        mass = torch.addcmul(a * q_left - b * q_right, jump, right[0] - left[0])
        F[1:] = mass * torch.where(mass >= 0, left[1:], right[1:])
        F[0] = mass
        f_left = torch.addcmul(q_left * left[1 + axis], left[0], left[0], value=self.gravity / 2)
        f_right = torch.addcmul(q_right * right[1 + axis], right[0], right[0], value=self.gravity / 2)
        torch.addcmul(a * f_left - b * f_right, jump, q_right - q_left, out=F[1 + axis])
        return F

    def _bounds(self, left: Tensor, right: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        c_left, c_right = self.sound(left), self.sound(right)
        v_left, v_right = left[1 + axis], right[1 + axis]
        v = torch.lerp(v_right, v_left, c_left / (c_left + c_right))
        c = (left[0] + right[0]).mul_(self.gravity / 2).sqrt_()
        return torch.minimum(v_left - c_left, v - c), torch.maximum(v_right + c_right, v + c)
