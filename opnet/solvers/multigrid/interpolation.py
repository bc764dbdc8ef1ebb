"""`Interpolation`: prolongation whose weights are taken from the operator, and its transpose as restriction."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations, product
from typing import Any

import torch
from torch import Tensor

from opnet.linops.stencil import Offset, Stencil, shifted
from opnet.solvers.multigrid.coarsening import Coarsening

STEPS = (-1, 0, 1)


class Interpolation:
    r"""P from coarse to fine nodes such that the fine operator nearly annihilates what it gives; R = P^T.

    A fine node that lies between coarse ones along the axes m takes the values of its 3^|m| - 1 neighbours along
    them, in the stencil collapsed (summed) over the other axes,

    .. math:: u_p = \frac{-1}{d_p} \sum_{q \in \{-1,0,1\}^m, q \ne 0} \bar S_q(p) u_{p+q}, \qquad
       \bar S_q = \sum_{t \text{ off } m} S_{q+t}, \qquad d_p = -\sum_{q \ne 0} \bar S_q(p),

    edges before faces before the interior. Where nothing couples to one side, at an end of an axis of m or beside a
    node that a Dirichlet side holds, d is the collapsed centre: there the boundary condition speaks. This is black-box
    multigrid's interpolation, which keeps the flux continuous across jumps of the coefficient: J. E. Dendy, *J. Comput.
    Phys.* 48 (1982) 366-386, section 3; R. E. Alcouffe, A. Brandt, J. E. Dendy and J. W. Painter, *SIAM J. Sci. Stat.
    Comput.* 2 (1981) 430-454.

    Args:
        A: the fine operator.
        axes: how each axis is thinned; None for one that is not.

    Attributes:
        weights: P by offset o: the weight of coarse node I at the fine node 2 I + first + o; (*batch, *coarse) each.

    >>> A = Stencil({(0,): 2 * torch.ones(5), (1,): -torch.ones(5)}, [False], symmetric=True)
    >>> P = Interpolation(A, [Coarsening.of(5, False)])
    >>> P.prolong(torch.tensor([2.0, 4.0]))
    tensor([1., 2., 3., 4., 2.])
    """

    def __init__(self, A: Stencil, axes: Sequence[Coarsening | None]) -> None:
        self.axes, self.fine_shape = list(axes), A.in_shape
        self.coarse_shape = tuple(n if axis is None else axis.coarse for n, axis in zip(A.in_shape, axes, strict=True))
        self.weights = _weights(A, self.axes)

    def to(self, dtype: torch.dtype) -> Interpolation:
        """The same in another precision."""
        return self._of({o: weight.to(dtype) for o, weight in self.weights.items()})

    def conj(self) -> Interpolation:
        """The complex conjugate."""
        return self._of({o: weight.conj() for o, weight in self.weights.items()})

    def _of(self, weights: dict[Offset, Tensor]) -> Interpolation:
        other = object.__new__(Interpolation)
        other.axes, other.fine_shape, other.coarse_shape = self.axes, self.fine_shape, self.coarse_shape
        other.weights = weights
        return other

    def adjoint(self) -> Interpolation:
        """That of A^H, where A^T = A."""
        return self.conj()

    def prolong(self, u: Tensor) -> Tensor:
        """P u.  # shape: (*batch, *coarse) -> (*batch, *fine)"""
        d = len(self.axes)
        batch = torch.broadcast_shapes(u.shape[: u.ndim - d], next(iter(self.weights.values())).shape[:-d])
        extended = [n if a is None else 2 * a.coarse + 1 for n, a in zip(self.fine_shape, self.axes, strict=True)]
        fine = u.new_zeros(*batch, *extended)
        for o, weight in self.weights.items():
            _nodes(fine, o, self.axes, 1).addcmul_(weight, u)
        for axis, thinned in enumerate(self.axes):
            if thinned is not None:
                fine = thinned.fold(fine, axis - d)
        return fine

    def restrict(self, r: Tensor) -> Tensor:
        """P^T r.  # shape: (*batch, *fine) -> (*batch, *coarse)"""
        for axis, thinned in enumerate(self.axes):
            if thinned is not None:
                r = thinned.extend(r, axis - len(self.axes), 1)
        total: Tensor | None = None
        for o, weight in self.weights.items():
            nodes = _nodes(r, o, self.axes, 1)
            total = weight * nodes if total is None else total.addcmul_(weight, nodes)
        assert total is not None
        return total

    def galerkin(self, A: Stencil) -> Stencil:
        r"""The coarse operator P^T A P, again a stencil of nearest neighbours.

        .. math:: (A_c)_{I + D, I} = \sum_\gamma P_{\gamma - 2 D}(I + D) \, v_\gamma(I), \qquad
           v_\gamma(I) = \sum_o S_{o - \gamma}(2 I + \gamma) \, P_o(I),

        with v the image of the basis function of I.
        """
        coefficients = {}
        for q, c in A.coefficients.items():
            for axis, thinned in enumerate(self.axes):
                c = c if thinned is None else thinned.extend(c, axis - len(self.axes), 2)
            coefficients[q] = c
        apart = tuple(1 if axis is None else 2 for axis in self.axes)
        images: dict[Offset, Tensor] = {}
        coarse: dict[Offset, Tensor] = {}
        for D in product(STEPS, repeat=len(self.axes)):
            if A.symmetric and _opposite(D) > D:
                continue  # the opposite offset holds it
            total: Tensor | None = None
            for gamma in product(*(_reached(step, axis) for step, axis in zip(D, self.axes, strict=True))):
                if gamma not in images:
                    images[gamma] = self._image(coefficients, gamma)
                term = images[gamma] * self._of_neighbour(gamma, D, apart, A.periodic)
                total = term if total is None else total.add_(term)
            assert total is not None
            # This couples row I + D with column I; a stencil stores couplings with their row.
            if A.symmetric:
                coarse[D] = total
            else:
                coarse[_opposite(D)] = shifted(total, _opposite(D), A.periodic)
        return Stencil(coarse, A.periodic, symmetric=A.symmetric)

    def _of_neighbour(self, gamma: Offset, D: Offset, apart: Offset, periodic: tuple[bool, ...]) -> Tensor:
        """P of the coarse node I + D at the fine node gamma from I, coarse neighbours being `apart` fine nodes apart.

        On a periodic axis of odd length the last coarse node and the first are one apart, not two.
        """
        o = tuple(g - k * step for g, k, step in zip(gamma, apart, D, strict=True))
        weight = shifted(self.weights[o], D, periodic)
        for axis, (thinned, step) in enumerate(zip(self.axes, D, strict=True)):
            if thinned is not None and thinned.first == 0 and step and apart[axis] == 2:
                nearer = (*apart[:axis], 1, *apart[axis + 1 :])
                seam = axis - len(D), (-1 if step > 0 else 0)
                weight.select(*seam).copy_(self._of_neighbour(gamma, D, nearer, periodic).select(*seam))
        return weight

    def _image(self, coefficients: dict[Offset, Tensor], gamma: Offset) -> Tensor:
        """v_gamma: what A makes of each basis function at the node gamma from its own."""
        plain = tuple(g if axis is None else 0 for g, axis in zip(gamma, self.axes, strict=True))
        thinned = tuple(g - p for g, p in zip(gamma, plain, strict=True))
        total: Tensor | None = None
        for o, weight in self.weights.items():
            c = coefficients.get(tuple(i - g for i, g in zip(o, gamma, strict=True)))
            if c is None:
                continue
            if any(plain):
                c = torch.roll(c, _opposite(plain), tuple(range(-len(plain), 0)))
            c = _nodes(c, thinned, self.axes, 2)
            total = c * weight if total is None else total.addcmul_(c, weight)
        some = self.weights[(0,) * len(gamma)]
        return torch.zeros_like(some) if total is None else total


def _weights(A: Stencil, axes: list[Coarsening | None]) -> dict[Offset, Tensor]:
    """P by offset, from the coefficients of the fine operator."""
    d, coefficients = len(axes), A.coefficients
    thinned = [axis for axis in range(d) if axes[axis] is not None]
    some = coefficients[(0,) * d]
    between: dict[tuple[int, ...], dict[Offset, Tensor]] = {
        (): {(): torch.ones(_coarse_batch(A, axes), dtype=A.dtype, device=some.device)}
    }
    weights = {(0,) * d: between[()][()]}
    for m in chain.from_iterable(combinations(thinned, k) for k in range(1, len(thinned) + 1)):
        collapsed = _collapsed(coefficients, m, axes)
        centre = collapsed.pop((0,) * len(m))
        d_p = torch.where(_uncoupled(collapsed, len(m)), centre, -sum(collapsed.values()))
        scale = -1 / torch.where(d_p == 0, torch.ones_like(d_p), d_p)  # where nothing is coupled
        between[m] = {}
        for corner in product((-1, 1), repeat=len(m)):
            total: Tensor | None = None
            for q, c in collapsed.items():
                if any(step not in (0, side) for step, side in zip(q, corner, strict=True)):
                    continue
                rest = tuple(axis for axis, step in zip(m, q, strict=True) if step == 0)
                sides = tuple(side for side, step in zip(corner, q, strict=True) if step == 0)
                value = between[rest][sides]
                for axis, step in zip(m, q, strict=True):
                    if step:
                        value = _neighbour(value, axis - d, axes[axis], step)
                total = c * value if total is None else total + c * value
            if total is not None:
                between[m][corner] = total * scale
        for corner, weight in between[m].items():
            o = [0] * d
            for axis, side in zip(m, corner, strict=True):
                o[axis] = -side  # the coarse node on one side of a fine one has that on its other side
                weight = _of_coarse(weight, axis - d, axes[axis], -side)
            weights[tuple(o)] = weight
    return weights


def _collapsed(
    coefficients: dict[Offset, Tensor], m: tuple[int, ...], axes: list[Coarsening | None]
) -> dict[Offset, Tensor]:
    """The stencil summed over the axes off m, at the nodes that lie between coarse ones along m and on them else."""
    index: list[Any] = [...]
    for axis, thinned in enumerate(axes):
        if thinned is None:
            index.append(slice(None))
        else:
            index.append(slice(1 - thinned.first if axis in m else thinned.first, None, 2))
    total: dict[Offset, Tensor] = {}
    for q, c in coefficients.items():
        along, c = tuple(q[axis] for axis in m), c[tuple(index)]
        total[along] = total[along] + c if along in total else c
    return total


def _uncoupled(collapsed: dict[Offset, Tensor], k: int) -> Tensor:
    """Where nothing couples to the neighbours on some side of one of k axes: beyond an end, or held by a side there."""
    missing = torch.zeros((), dtype=torch.bool, device=next(iter(collapsed.values())).device)
    for axis, side in product(range(k), (-1, 1)):
        missing = missing | (sum(c for q, c in collapsed.items() if q[axis] == side) == 0)
    return missing


def _neighbour(value: Tensor, dim: int, axis: Coarsening | None, side: int) -> Tensor:
    """Values at coarse nodes of an axis, taken to the nodes between them from one side; any value beyond an end."""
    assert axis is not None
    index = torch.arange(axis.n - axis.coarse, device=value.device) - axis.first + (side > 0)
    index = index % axis.coarse if axis.periodic else index.clamp(0, axis.coarse - 1)
    return value.index_select(dim, index)


def _of_coarse(weight: Tensor, dim: int, axis: Coarsening | None, step: int) -> Tensor:
    """Weights at the nodes between coarse ones, seen from the coarse node on the other side; zero where is none."""
    assert axis is not None
    count = axis.n - axis.coarse
    index = torch.arange(axis.coarse, device=weight.device) + (step > 0) - (1 - axis.first)
    if axis.folds:
        return weight.index_select(dim, index % count)
    exists = (index >= 0) & (index < count)
    taken = weight.index_select(dim, index.clamp(0, count - 1))
    return taken * exists.to(taken.dtype).reshape(-1, *(1,) * (-dim - 1))


def _nodes(x: Tensor, o: Offset, axes: Sequence[Coarsening | None], reach: int) -> Tensor:
    """A view of an extended field at the nodes 2 I + first + o of all coarse nodes I."""
    index = [
        slice(None) if axis is None else slice(step + reach, step + reach + 2 * axis.coarse - 1, 2)
        for step, axis in zip(o, axes, strict=True)
    ]
    return x[(..., *index)]


def _coarse_batch(A: Stencil, axes: list[Coarsening | None]) -> tuple[int, ...]:
    sizes = (n if axis is None else axis.coarse for n, axis in zip(A.in_shape, axes, strict=True))
    return (*A.batch_shape, *sizes)


def _reached(step: int, axis: Coarsening | None) -> tuple[int, ...]:
    """Along one axis: where the image of a basis function meets the basis function `step` coarse nodes on."""
    if axis is None:
        return (step,)
    return {0: (-1, 0, 1), 1: (1, 2), -1: (-1, -2)}[step]


def _opposite(q: Offset) -> Offset:
    return tuple(-step for step in q)
