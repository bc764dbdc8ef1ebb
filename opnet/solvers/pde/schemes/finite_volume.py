"""`FiniteVolume`: conservation laws on uniform cells, by MUSCL reconstruction and SSP Runge-Kutta steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from opnet.solvers.pde.schemes.conservation_law import ConservationLaw
from opnet.solvers.pde.schemes.ghosts import SIDES, with_ghosts, without_ghosts
from opnet.solvers.pde.schemes.limiters import Limiter, van_leer
from opnet.solvers.pde.schemes.newtonian import Newtonian
from opnet.solvers.pde.schemes.super_time_stepping import longest, rkl2, stages_for
from opnet.solvers.pde.threads import one_thread

# u <- a u_0 + b (u + dt L(u)), one pair a stage: C.-W. Shu and S. Osher, J. Comput. Phys. 77 (1988) 439-471.
SSP: dict[int, tuple[tuple[float, float], ...]] = {
    2: ((0.0, 1.0), (1 / 2, 1 / 2)),
    3: ((0.0, 1.0), (3 / 4, 1 / 4), (1 / 3, 2 / 3)),
}
CELLS_AT_ONCE = {"cpu": 2**14, "cuda": 2**24}  # more would leave the caches; fewer leave torch's overhead dominant
MOST_STEPS = 1e8  # of a sample between two frames; one that needs more has speeds without bound


@dataclass(frozen=True)
class Marched:
    """What `FiniteVolume.march` gives.

    Attributes:
        states: conserved variables at the times asked for, (sample, time, channel, *grid).
        least: over all steps and cells, of the first and the last primitive channel, (sample,) each: density and
            pressure, or height alone.
        steps: taken by each sample, (sample,).
    """

    states: Tensor
    least: tuple[Tensor, Tensor]
    steps: Tensor


@dataclass(frozen=True)
class FiniteVolume:
    r"""`u_t + div F(u) = viscous` for cell means u on a uniform box.

    .. math:: \frac{d u_i}{d t} = -\sum_a \frac{F_{i + 1/2} - F_{i - 1/2}}{h_a}, \qquad
       F_{i + 1/2} = F(w_i + s_i / 2, \; w_{i + 1} - s_{i + 1} / 2), \qquad s_i = \ell(w_i - w_{i-1}, w_{i+1} - w_i)

    with w the primitive variables, l a limiter and F the law's Riemann solver (MUSCL: B. van Leer, *J. Comput. Phys.*
    32 (1979) 101-136), and strong-stability-preserving Runge-Kutta steps of order 2 or 3 (Shu and Osher 1988). Order 2
    where the solution is smooth; first order at extrema, where the limiter cuts. Reconstructed densities and pressures
    lie between those of the neighbours; cell means are not forced to be positive, `Marched.least` tells.

    Every sample has steps of its own, `dt sum_a max(|v_a| + c) / h_a <= cfl`, equal ones up to the next frame as
    long as its speeds allow: its numbers do not depend on the samples beside it. With more than one stage for them,
    viscous terms are split off (G. Strang, *SIAM J. Numer. Anal.* 5 (1968) 506-517) and advanced by `rkl2`; steps for
    which that is not stable are shortened.

    Args:
        law: what is conserved.
        spacing: of the cells, one an axis.
        sides: what lies beyond the box: "periodic", "outflow" or "wall"; see `with_ghosts`.
        limiter: l.
        order: of the Runge-Kutta steps, 2 or 3.
        cfl: see above. At .8 steps of order 3 err no more than those of order 2 at .2.
        viscosity: stresses; none if None.
        stages: of the viscous steps, whatever the sample; 1 adds viscous terms to the rate of the Runge-Kutta stages.
            See `viscous_stages`.
        source: added to the rate, S(w, t) at the cells: w (channel, sample, *grid), t (sample, 1, ...).

    Raises:
        ValueError: for other sides or orders, or cfl that is not positive.

    Sod's shock tube (G. A. Sod, *J. Comput. Phys.* 27 (1978) 1-31); its plateau of pressure is .30313 high:

    >>> from opnet.solvers.pde.schemes.euler import Euler
    >>> x = (torch.arange(100, dtype=torch.float64) + 0.5) / 100
    >>> law = Euler(1.4)
    >>> w = torch.stack([torch.where(x < 0.5, 1.0, 0.125), 0 * x, torch.where(x < 0.5, 1.0, 0.1)])[:, None]
    >>> tube = FiniteVolume(law, (0.01,), "outflow")
    >>> final = tube.march(law.conserved(w).movedim(0, 1), (0.0, 0.2)).states[:, -1]
    >>> round(float(law.primitive(final.movedim(0, 1))[-1, 0, 60]), 3)
    0.303
    """

    law: ConservationLaw
    spacing: tuple[float, ...]
    sides: str = "periodic"
    limiter: Limiter = van_leer
    order: int = 3
    cfl: float = 0.8
    viscosity: Newtonian | None = None
    stages: int = 1
    source: Callable[[Tensor, Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        if self.sides not in SIDES:
            raise ValueError(f"FiniteVolume.sides: expected one of {', '.join(SIDES)}, found {self.sides!r}")
        if self.order not in SSP:
            raise ValueError(f"FiniteVolume.order: expected 2 or 3, found {self.order}")
        if not 0 < self.cfl <= 1:
            raise ValueError(f"FiniteVolume.cfl: expected a number above 0, at most 1, found {self.cfl}")

    def march(self, u: Tensor, times: tuple[float, ...], record: Callable[[Tensor], Tensor] | None = None) -> Marched:
        """Advance cell means u from times[0], and keep them at all times.

        Args:
            u: conserved variables, (sample, channel, *grid).
            times: ascending.
            record: what is kept of a state (sample, channel, *grid), such as its means over blocks; all if None.
        """
        size = max(1, CELLS_AT_ONCE.get(u.device.type, 2**24) // u[0, 0].numel())
        with one_thread(when=u.device.type == "cpu" and u[0, 0].numel() <= 2 * CELLS_AT_ONCE["cpu"]):
            parts = [self._march(part, times, record or (lambda state: state)) for part in u.split(size)]
        return Marched(
            torch.cat([part.states for part in parts]),
            (torch.cat([part.least[0] for part in parts]), torch.cat([part.least[1] for part in parts])),
            torch.cat([part.steps for part in parts]),
        )

    def _march(self, u: Tensor, times: tuple[float, ...], record: Callable[[Tensor], Tensor]) -> Marched:
        states = [record(u)]
        u = u.movedim(1, 0).contiguous()
        t = torch.full_like(u[0].flatten(1)[:, 0], times[0])
        steps = torch.zeros_like(t, dtype=torch.int64)
        w = self.law.primitive(u)
        lowest = [w[channel].flatten(1).amin(1) for channel in (0, -1)]
        for end in times[1:]:
            left = end - t
            while True:
                count = torch.ceil(left / self.longest_step(w) * (1 - 1e-12)).clamp_(min=1)
                count[count > MOST_STEPS] = torch.nan
                dt = left / count
                u = self.advance(u, w, t, dt)
                w = self.law.primitive(u)
                lowest = [torch.minimum(low, w[c].flatten(1).amin(1)) for low, c in zip(lowest, (0, -1), strict=True)]
                steps += dt > 0
                t = torch.where(count > 1, t + dt, end).where(count == count, torch.nan)
                left = end - t
                if not bool((left > 0).any()):
                    break
            states.append(record(u.movedim(0, 1)))
        return Marched(torch.stack(states, 1), (lowest[0], lowest[1]), steps)

    def longest_step(self, w: Tensor) -> Tensor:
        """The longest step that a primitive state allows.  # shape: (sample,)"""
        c = self.law.sound(w)
        rate = torch.stack([(w[1 + a].abs() + c).flatten(1).amax(1) / h for a, h in enumerate(self.spacing)]).sum(0)
        if self.viscosity is None:
            return self.cfl / rate
        euler = w[0].flatten(1).amin(1) * self.viscosity.limit(self.spacing)
        if self.stages == 1:
            return 1 / (rate / self.cfl + 1 / euler)
        return torch.minimum(self.cfl / rate, 2 * longest(self.stages) * euler)

    def advance(self, u: Tensor, w: Tensor, t: Tensor, dt: Tensor) -> Tensor:
        """One step of every sample, from u and its primitive form; t and dt (sample,)."""
        t, dt = (x.reshape(-1, *(1,) * len(self.spacing)) for x in (t, dt))
        split = self.viscosity is not None and self.stages > 1
        if split:
            u = rkl2(self._viscous_rate, u, dt / 2, self.stages)
            w = self.law.primitive(u)
        start = u
        for (a, b), c in zip(SSP[self.order], (0.0, 1.0, 0.5), strict=False):
            w = w if u is start else self.law.primitive(u)
            rate = self.rate(w)
            if self.source is not None:
                rate += self.source(w, t + c * dt)
            u = rate.mul_(dt).add_(u)
            if a:
                u.mul_(b).add_(start, alpha=a)
        return rkl2(self._viscous_rate, u, dt / 2, self.stages) if split else u

    def rate(self, w: Tensor) -> Tensor:
        """`-div F` of a primitive state.  # shape: (channel, sample, *grid) -> the same"""
        padded = with_ghosts(w, self.sides)
        total: Tensor | None = None
        for axis, h in enumerate(self.spacing):
            dim, n = 2 + axis, w.shape[2 + axis]
            line = padded
            for other in range(len(self.spacing)):
                if other != axis:
                    line = line.narrow(2 + other, 2, w.shape[2 + other])
            difference = line.diff(dim=dim)
            slope = self.limiter(difference.narrow(dim, 0, n + 2), difference.narrow(dim, 1, n + 2))
            left = torch.add(line.narrow(dim, 1, n + 1), slope.narrow(dim, 0, n + 1), alpha=0.5)
            right = torch.sub(line.narrow(dim, 2, n + 1), slope.narrow(dim, 1, n + 1), alpha=0.5)
            out = self.law.flux(left, right, axis).diff(dim=dim).mul_(-1 / h)
            total = out if total is None else total.add_(out)
        assert total is not None
        if self.viscosity is not None and self.stages == 1:
            total += self.viscosity.rate(without_ghosts(padded), self.spacing)
        return total

    def _viscous_rate(self, u: Tensor) -> Tensor:
        assert self.viscosity is not None
        return self.viscosity.rate(with_ghosts(self.law.primitive(u), self.sides, 1), self.spacing)


def viscous_stages(
    viscosity: Newtonian, spacing: tuple[float, ...], *, density: float, speed: float, cfl: float
) -> int:
    """Stages with which viscous terms leave steps as long as waves of this speed allow, in a fluid of this density.

    >>> [viscous_stages(Newtonian(eta, 0.0), (0.01,), density=1.0, speed=1.0, cfl=0.4) for eta in (1e-3, 0.1, 1.0)]
    [1, 5, 15]
    """
    step = cfl / (speed * sum(1 / h for h in spacing))
    ratio = step / (density * viscosity.limit(spacing))
    return 1 if ratio < 1 / 2 else stages_for(ratio / 2)
