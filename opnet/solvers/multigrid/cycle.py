"""`Cycle`: one way down a hierarchy and up again."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from opnet.solvers.multigrid.hierarchy import Hierarchy

VISITS = {"V": ("V",), "W": ("W", "W"), "F": ("F", "V")}  # to the next coarser level, by the kind of cycle


@dataclass(frozen=True)
class Cycle:
    r"""The approximate inverse that a hierarchy gives,

    .. math:: x \leftarrow S(b), \quad x \leftarrow x + P \, C(R (b - A x)), \quad x \leftarrow S^*(x, b),

    with the smoother S, itself in the other order S^*, and the coarse correction C, one or two cycles on the next level
    or on the coarsest its inverse. U. Trottenberg, C. Oosterlee, A. Schueller, *Multigrid*, Academic Press 2001,
    section 2.4.

    Args:
        hierarchy: what it goes down and up.
        kind: "V", "W" or "F".
        pre, post: smoother applications before and after the coarse correction.
    """

    hierarchy: Hierarchy
    kind: str
    pre: int
    post: int

    @property
    def symmetric(self) -> bool:
        """Whether it is Hermitian for a Hermitian operator whose R is a multiple of P^H."""
        return self.pre == self.post and self.kind != "F"

    def apply(self, b: Tensor, depth: int = 0) -> Tensor:
        """One cycle from zero on the level `depth` and those below.  # shape: (*batch, *in_shape) -> the same"""
        return self._cycle(b, depth, self.kind)

    def _cycle(self, b: Tensor, depth: int, kind: str) -> Tensor:
        if depth == len(self.hierarchy.levels):
            return self.hierarchy.solve_coarsest(b)
        level = self.hierarchy.levels[depth]
        x = level.smoother.begin(b)
        for _ in range(self.pre - 1):
            x = level.smoother.improve(x, b)
        x += level.prolong(self._correction(level.restrict(b - level.operator.apply(x)), depth + 1, kind))
        for _ in range(self.post):
            x = level.smoother.improve_backwards(x, b)
        return x

    def _correction(self, b: Tensor, depth: int, kind: str) -> Tensor:
        """Exact on the coarsest level, else as many cycles as the kind has."""
        first, *others = VISITS[kind]
        x = self._cycle(b, depth, first)
        if depth < len(self.hierarchy.levels):
            for other in others:
                x += self._cycle(b - self.hierarchy.levels[depth].operator.apply(x), depth, other)
        return x
