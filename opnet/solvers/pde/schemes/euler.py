"""`Euler`: the conservation laws of an ideal gas, with the HLLC Riemann solver."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.solvers.pde.schemes.conservation_law import ConservationLaw


@dataclass(frozen=True)
class Euler(ConservationLaw):
    r"""An ideal gas of density rho, velocity v, pressure p and energy density E.

    .. math:: \partial_t (\rho, \rho v, E) + \nabla \cdot (\rho v, \rho v v^T + p I, (E + p) v) = 0, \qquad
       E = \frac{p}{\gamma - 1} + \frac{\rho |v|^2}{2}

    in one or more dimensions. w = (rho, v_1, ..., p), u = (rho, rho v_1, ..., E).

    Fluxes are those of HLLC (E. F. Toro, *Riemann Solvers and Numerical Methods for Fluid Dynamics*, Springer 2009,
    section 10.4, eqs. (10.37)-(10.39)): two constant states between three waves, whose outer speeds are the bounds of
    B. Einfeldt, *SIAM J. Numer. Anal.* 25 (1988) 294-318, with which densities and pressures stay positive (P. Batten
    et al., *SIAM J. Sci. Comput.* 18 (1997) 1553-1570).

    Args:
        gamma: ratio of specific heats; above 1.

    >>> w = torch.tensor([1.0, 0.5, 2.0])[:, None]
    >>> Euler(1.4).flux(w, w, 0)[:, 0]  # of equal states it is F itself
    tensor([0.5000, 2.2500, 3.5625])
    """

    gamma: float = 5 / 3

    def primitive(self, u: Tensor) -> Tensor:
        w = u.clone()
        momentum = u[1:-1]
        v = torch.div(momentum, u[0], out=w[1:-1])
        kinetic = (momentum * v).sum(0)
        w[-1].sub_(kinetic, alpha=0.5).mul_(self.gamma - 1)
        return w

    def conserved(self, w: Tensor) -> Tensor:
        u = w.clone()
        momentum = u[1:-1].mul_(w[0])
        u[-1].div_(self.gamma - 1).add_((momentum * w[1:-1]).sum(0), alpha=0.5)
        return u

    def sound(self, w: Tensor) -> Tensor:
        return (w[-1] / w[0]).mul_(self.gamma).sqrt_()

    def flux(self, left: Tensor, right: Tensor, axis: int) -> Tensor:
        slowest, fastest = self._bounds(left, right, axis)
        v_left, v_right = left[1 + axis], right[1 + axis]
        m_left, m_right = left[0] * (slowest - v_left), right[0] * (fastest - v_right)
        middle = (right[-1] - left[-1] + m_left * v_left - m_right * v_right) / (m_left - m_right)
        # The contact tells which side's states the face sees; the wave on that side, if it has crossed the face, adds
        # its jump.
        from_left = middle >= 0
        w = torch.where(from_left, left, right)
        m, wave = torch.where(from_left, m_left, m_right), torch.where(from_left, slowest, fastest)
        crossed = torch.where(from_left, slowest.clamp_(max=0), fastest.clamp_(min=0))
        rho, v, p = w[0], w[1 + axis], w[-1]
        rho_middle = m / (wave - middle)
        F = torch.empty_like(w)
        momentum = rho * v
        torch.addcmul(momentum, crossed, rho_middle - rho, out=F[0])
        F[1:-1] = F[0] * w[1:-1]
        torch.addcmul(p, momentum, v, out=F[1 + axis])
        F[1 + axis].addcmul_(crossed, rho_middle * middle - momentum)
        E = (w[1:-1] ** 2).sum(0).mul_(rho).mul_(0.5).add_(p, alpha=1 / (self.gamma - 1))
        E_middle = rho_middle * (E / rho + (middle - v) * (middle + p / m))
        torch.addcmul((E + p) * v, crossed, E_middle - E, out=F[-1])
        return F

    def _bounds(self, left: Tensor, right: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        c_left, c_right = self.sound(left), self.sound(right)
        v_left, v_right = left[1 + axis], right[1 + axis]
        root = left[0].sqrt()
        share = root / (root + right[0].sqrt())  # Roe's weight of the left state
        difference = v_left - v_right
        v = torch.addcmul(v_right, share, difference)
        c2 = torch.lerp(c_right**2, c_left**2, share)
        c = c2.addcmul_(share * (1 - share), difference**2, value=0.5).sqrt_()
        return torch.minimum(v_left - c_left, v - c), torch.maximum(v_right + c_right, v + c)
