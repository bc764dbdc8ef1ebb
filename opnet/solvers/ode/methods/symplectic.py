"""Symplectic methods for separable Hamiltonian systems: leapfrogs of substeps given as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.solvers.ode.fields import Separable
from opnet.solvers.ode.problem import Problem, Rows
from opnet.solvers.ode.stages import Time
from opnet.solvers.ode.stepper import Step, Stepper, hermite


@dataclass(frozen=True)
class Composition(Stepper):
    r"""`\Phi_h = S_{w_s h} \circ \dots \circ S_{w_1 h}` of the Stoermer-Verlet step S, for a state (q, p).

    S_h: `p' = p + h/2 force(t, q)`, `q1 = q + h velocity(t + h/2, p')`, `p1 = p' + h/2 force(t + h, q1)`.

    Each S is symplectic and symmetric, also with time as a further coordinate, so that forces and velocities may depend
    on it; hence so is the composition, of even order (Hairer, Lubich, Wanner, *Geometric Numerical Integration*,
    chapters V.3 and VI.4). The last force of a step is the first of the next: each substep evaluates one. Steps are
    equal: what the energy owes to symplecticity would be lost with steps that the state chooses.
    """

    weights: ClassVar[tuple[float, ...]]
    """w_1, ..., w_s, which add up to 1."""
    degree: ClassVar[int]
    source: ClassVar[str]

    @property
    def order(self) -> int:
        return self.degree

    def start(self, problem: Problem, t: Time, y: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        problem.structure(Separable, type(self).__name__)
        shapes = problem.layout.shapes
        if problem.layout.keys != 2 or shapes[0] != shapes[1]:
            found = f"leaves of {', '.join(map(str, shapes))}" if problem.layout.keys else "one tensor"
            raise ValueError(
                f"y0: {type(self).__name__} expected a tuple (q, p) of two tensors of one shape, found {found}"
            )
        return (k.chunk(2, 1)[1],)

    def step(self, problem: Problem, t: Time, y: Tensor, h: Time, carry: tuple[Tensor, ...]) -> Step:
        velocity, force = self.parts(problem)
        (first,) = carry
        last = first
        q, p = y.chunk(2, 1)
        passed = 0.0
        for weight in self.weights:
            p = _plus(p, 0.5 * weight * h, last)
            q = _plus(q, weight * h, velocity(t + (passed + 0.5 * weight) * h, p))
            passed += weight
            last = force(t + passed * h, q)
            p = _plus(p, 0.5 * weight * h, last)
        y1 = torch.cat((q, p), 1)

        def slope(t: Time, y: Tensor, force: Tensor) -> Tensor:
            return torch.cat((velocity(t, y.chunk(2, 1)[1]), force), 1)

        return Step(
            y1,
            carry=(last,),
            interpolant=lambda: hermite(y, slope(t, y, first), h, y1, slope(t + h, y1, last)),
        )

    def parts(self, problem: Problem) -> tuple[Rows, Rows]:
        """velocity and force in rows."""
        field, q, p = problem.field, problem.layout.leaf(0), problem.layout.leaf(1)
        assert isinstance(field, Separable), "start() looked at the field"
        return problem.cached(
            "separable",
            lambda: (
                problem.wrap("Separable.velocity", field.velocity, source=p, target=q),
                problem.wrap("Separable.force", field.force, source=q, target=p),
            ),
        )


@register("stepper", "Leapfrog")
@dataclass(frozen=True)
class Leapfrog(Composition):
    """The Stoermer-Verlet method, kick-drift-kick, order 2; one force a step.

    A mass on a spring, whose energy is still 1/2 after 16 periods:

    >>> from opnet.solvers.ode.solve import solve_ode
    >>> spring = Separable(lambda t, p: p, lambda t, q: -q)
    >>> start = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    >>> q, p = solve_ode(spring, start, torch.tensor([0.0, 100.0]), Leapfrog(), step=0.1).ys
    >>> round(float(q[-1] ** 2 + p[-1] ** 2) / 2, 2)
    0.5
    """

    weights = (1.0,)
    degree = 2
    source = "Verlet, Phys. Rev. 159 (1967)"


_OUTER = 1 / (2 - 2 ** (1 / 3))


@register("stepper", "Yoshida4")
@dataclass(frozen=True)
class Yoshida4(Composition):
    """Three leapfrogs, order 4 (Yoshida 1990). Its error is large for its order: the middle substep is -1.7 h."""

    weights = (_OUTER, 1 - 2 * _OUTER, _OUTER)
    degree = 4
    source = "Yoshida, Phys. Lett. A 150 (1990), eq. (2.11)"


_KAHAN_LI = (
    0.39216144400731413927925056,
    0.33259913678935943859974864,
    -0.70624617255763935980996482,
    0.08221359629355080023149045,
)


@register("stepper", "KahanLi6")
@dataclass(frozen=True)
class KahanLi6(Composition):
    """Nine leapfrogs, order 6 (Kahan and Li 1997); no substep is longer than .8 h."""

    weights = (*_KAHAN_LI, 1 - 2 * sum(_KAHAN_LI), *_KAHAN_LI[::-1])
    degree = 6
    source = "Kahan and Li, Math. Comp. 66 (1997); Hairer, Lubich, Wanner 2006, eq. V (3.12)"


def _plus(y: Tensor, h: Time, k: Tensor) -> Tensor:
    """y + h k."""
    return torch.addcmul(y, k, h.to(y.dtype)) if isinstance(h, Tensor) else torch.add(y, k, alpha=h)
