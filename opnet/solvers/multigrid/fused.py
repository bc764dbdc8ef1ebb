"""Multigrid and its conjugate gradients in compiled loops, one element of a batch after the other."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import prod
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING
from weakref import finalize

import numpy as np
import torch
from torch import Tensor

from opnet.core.status import Status
from opnet.linops.dense import Dense
from opnet.linops.stencil import Offset, Stencil
from opnet.solvers.linear.monitor import Monitor
from opnet.solvers.linear.relaxation import Chebyshev, Jacobi
from opnet.solvers.multigrid import arrays
from opnet.solvers.multigrid.coarsening import SHORTEST
from opnet.solvers.multigrid.hierarchy import dense_inverse

if TYPE_CHECKING:
    from opnet.solvers.multigrid.multigrid import Multigrid

ENDS = (Status.CONVERGED, Status.MAX_ITERATIONS, Status.BREAKDOWN, Status.NON_FINITE)  # what the loops return
OFFSETS = ((0, 0), (0, 1), (1, 0), (1, 1), (1, -1))  # of the planes of a matrix
MOST = 10**6  # iterations whose residuals are recorded; whoever allows more is left to torch
KEPT = 2**31  # bytes of hierarchies that a batch keeps; a larger one sets each element up again when its turn comes


@cache
def kernels() -> ModuleType | None:
    """The compiled loops; None without numba."""
    try:
        from opnet.solvers.multigrid import kernels
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        return None
    return kernels


def steps(method: Multigrid) -> tuple[float, float] | None:
    """The weights of the smoother's one or two steps; None for a smoother that has others."""
    smoother = method.smoother
    weights: tuple[float, ...] = ()
    if isinstance(smoother, Jacobi):
        weights = smoother.weights()
    elif isinstance(smoother, Chebyshev) and smoother.largest is not None:
        weights = smoother.weights(smoother.largest)
    return (weights[0], sum(weights[1:])) if 1 <= len(weights) <= 2 else None


def fits(method: Multigrid, A: Stencil) -> bool:
    """Whether the compiled loops are there and do what is asked: V(1, 1), single precision, two axes of a CPU."""
    return (
        A.device.type == "cpu"
        and A.dtype in (torch.float32, torch.float64)
        and A.symmetric
        and len(A.in_shape) == 2
        and not any(A.periodic)
        and len(shapes := _shapes(A.in_shape, method.coarsest)) > 1
        and prod(shapes[-1]) <= method.coarsest  # no narrow strip, of which torch thins one axis alone
        and method.cycle_dtype(A) == torch.float32
        and (method.cycle, method.pre, method.post, method.coarse) == ("V", 1, 1, "galerkin")
        and steps(method) is not None
        and kernels() is not None
    )


class FusedMultigrid:
    """The hierarchies of a batch of operators.

    Args:
        method, A: a pair that `fits`.
    """

    def __init__(self, method: Multigrid, A: Stencil) -> None:
        self.method, self.batch_shape = method, A.batch_shape
        shape = (*A.batch_shape, *A.in_shape)
        self._half = {q: c.expand(shape).reshape(-1, *A.in_shape) for q, c in A.half.items()}
        self._count = prod(A.batch_shape)
        self._kept: dict[int, FusedElement] = {}
        self.keeps = self._count * prod(A.in_shape) * 100 <= KEPT

    def element(self, i: int) -> FusedElement:
        """The hierarchy of one element of the flattened batch."""
        if i in self._kept:
            return self._kept[i]
        made = FusedElement(self.method, {q: c[i] for q, c in self._half.items()})
        if self.keeps:
            self._kept[i] = made
        return made

    def apply(self, r: Tensor) -> Tensor:
        """One cycle from zero for every element.  # shape: (*batch, ny, nx) -> the same"""
        batch = torch.broadcast_shapes(r.shape[:-2], self.batch_shape)
        r = r.expand(*batch, *r.shape[-2:])
        z = torch.empty(r.shape, dtype=r.dtype)
        for i, index in self._elements(batch):
            self.element(i).apply(_flat(r[index]), _flat(z[index]))
        return z

    def conjugate_gradients(
        self, b: Tensor, x: Tensor, r: Tensor, target: Tensor, limit: int
    ) -> tuple[Tensor, Monitor]:
        """Conjugate gradients for every element from x, whose residuals are r."""
        batch = tuple(b.shape[:-2])
        x = x.clone(memory_format=torch.contiguous_format)
        status, iterations = torch.zeros(batch, dtype=torch.long), torch.zeros(batch, dtype=torch.long)
        histories: list[Tensor] = []
        order = self._elements(batch)
        for i, index in order:
            taken, end, history = self.element(i).conjugate_gradients(
                _flat(x[index]), _flat(r[index]), float(target[index]), limit
            )
            status[index], iterations[index] = int(ENDS[end]), taken
            histories.append(torch.from_numpy(history[: taken + 1]))
        longest = max((len(found) for found in histories), default=1)
        norms = torch.zeros(*batch, longest, dtype=torch.float64)
        for (_, index), found in zip(order, histories, strict=True):
            norms[index] = torch.cat([found, found[-1:].expand(longest - len(found))])
        return x, Monitor.from_history(norms.movedim(-1, 0).to(target.dtype), target, status, iterations)

    def _elements(self, batch: tuple[int, ...]) -> list[tuple[int, tuple[int, ...]]]:
        """Pairs of an operator's number and the index of a right-hand side, those of one operator together."""
        own = torch.arange(self._count).reshape(self.batch_shape).expand(batch)
        pairs = [(int(own[tuple(index)]), tuple(index)) for index in np.ndindex(*batch)]
        return sorted(pairs)


class FusedElement:
    """The hierarchy of one operator, in the form that the compiled loops work on.

    Args:
        method: as in `FusedMultigrid`.
        half: coefficients of the operator, those that a symmetric stencil stores; (ny, nx) each.
    """

    def __init__(self, method: Multigrid, half: dict[Offset, Tensor]) -> None:
        from opnet.solvers.multigrid import setup_kernels as setup

        loops = kernels()
        assert loops is not None
        self._loops = loops
        weights = tuple(np.float32(w) for w in steps(method) or ())
        ny, nx = half[0, 0].shape
        pitch = _pitch(nx, loops.MARGIN)
        self.shape, self.size = (ny, nx), (ny + 3) * pitch
        self.planes = 5 if len(half) > 3 else 3
        self.matrix = arrays.zeros(self.planes * self.size)
        for plane, q in enumerate(OFFSETS):
            if q in half:
                loops.pad(_flat(half[q]), self.matrix[plane * self.size :], ny, nx, pitch)
        scale = arrays.zeros(self.size)
        scale[:] = 1
        exact = setup.scaling(self.matrix, self.planes, ny, nx, pitch, scale)
        if not exact and self.planes == 3:  # the diagonal less 1 comes with the planes of the corners
            self.matrix, self.planes = np.concatenate([self.matrix, np.zeros(2 * self.size)]), 5
        self._table, total = _table(self.shape, method.coarsest, self.planes, loops)
        self._single = arrays.zeros(total, np.float32)
        self._buffer = arrays.zeros(loops.RING * pitch, np.float32)
        self.scale = arrays.zeros(self.size, np.float32)
        self.scale[:] = scale
        finalize(self, arrays.give_back, self.matrix, self.scale, self._single, self._buffer)
        bits = self._buffer.view(np.uint32), self._buffer.view(np.uint64)
        self._lock = Lock()  # a cycle works in the element's own arrays
        # The first arguments of the loops.
        self._own = (self._single, self._table, self._build(scale), *weights, self._buffer, *bits)

    def _build(self, s: np.ndarray) -> np.ndarray:
        """The levels below, from coarse matrices that are not kept; the inverse of the last. s: the finest scale."""
        from opnet.solvers.multigrid import setup_kernels as setup

        loops, single = self._loops, self._single
        S, planes = self.matrix, self.planes
        levels, used = self._table.tolist(), [s]
        for fine, coarse in pairwise(levels):
            ny, nx, pitch = fine[:3]
            size = (coarse[loops.NY] + 3) * coarse[loops.PITCH]
            P, C, coarse_s = arrays.zeros(9 * size), arrays.zeros(5 * size), arrays.zeros(size)
            coarse_s[:] = 1
            used += [P, C, coarse_s]
            setup.interpolation(S, planes, ny, nx, pitch, P, *coarse[:3])
            setup.galerkin(S, planes, ny, pitch, P, C, *coarse[:3])
            setup.scaling(C, 5, *coarse[:3], coarse_s)
            setup.scaled(S, planes, ny, nx, pitch, s, single, fine[loops.COUPLINGS])
            setup.scaled_interpolation(P, *coarse[:3], pitch, s, coarse_s, single, fine[loops.WEIGHTS])
            S, planes, s = C, 5, coarse_s
        ny, nx, pitch = levels[-1][:3]
        *fields, scale = (_unpadded(part, ny, nx, pitch, loops) for part in (*np.split(S, planes), s))
        arrays.give_back(*used)
        inverse = dense_inverse(Dense(torch.from_numpy(_dense(fields))), (self.shape[0] * nx,)).numpy()
        return (inverse / np.outer(scale, scale)).astype(np.float32).ravel()

    def cycle(self) -> None:
        """One cycle for whatever right-hand side lies there; for timing."""
        self._loops.cycle(*self._own)

    def apply(self, r: np.ndarray, z: np.ndarray) -> None:
        """z = M r, both (ny * nx,)."""
        loops, (ny, nx, pitch) = self._loops, self._table[0, :3].tolist()
        padded = arrays.zeros(self.size)
        loops.pad(r, padded, ny, nx, pitch)
        norm = np.linalg.norm(r)
        with self._lock:
            loops.precondition(*self._own, self.scale, padded, norm)
            loops.correction(self._single, self._table, self.scale, norm, z)
        arrays.give_back(padded)

    def conjugate_gradients(
        self, x: np.ndarray, r: np.ndarray, target: float, limit: int
    ) -> tuple[int, int, np.ndarray]:
        """Improve x, whose residual is r; iterations, how it ended, and the norms of the residuals."""
        loops, (ny, nx, pitch) = self._loops, self._table[0, :3].tolist()
        fields = [arrays.zeros(self.size) for _ in range(4)]
        loops.pad(x, fields[0], ny, nx, pitch)
        loops.pad(r, fields[1], ny, nx, pitch)
        history = np.zeros(limit + 1)
        with self._lock:
            taken, end = loops.conjugate_gradients(
                *self._own, self.matrix, self.planes, self.scale, *fields, target, limit, history
            )
        loops.unpad(fields[0], x, ny, nx, pitch)
        arrays.give_back(*fields)
        return taken, end, history


def _shapes(shape: tuple[int, ...], coarsest: int) -> list[tuple[int, ...]]:
    """Of the levels that halving both axes gives, as far as both can be."""
    shapes = [shape]
    while prod(shapes[-1]) > coarsest and min(shapes[-1]) >= SHORTEST:
        shapes.append(tuple(n // 2 for n in shapes[-1]))
    return shapes


def _table(shape: tuple[int, int], coarsest: int, planes: int, loops: ModuleType) -> tuple[np.ndarray, int]:
    """The table of levels that `kernels` describes, and the length of the array they lie in."""
    shapes = _shapes(shape, coarsest)
    table, end = np.zeros((len(shapes), 8), np.int64), 0
    for level, (ny, nx) in enumerate(shapes):
        pitch = _pitch(nx, loops.MARGIN)
        size = (ny + 3) * pitch
        couplings = 2 if level == 0 and planes == 3 else 5
        table[level, :4] = ny, nx, pitch, couplings
        coarse = (ny // 2 + 3) * _pitch(nx // 2, loops.MARGIN)
        for column, length in enumerate((couplings * size, 9 * coarse, size, size), 4):
            table[level, column], end = end, end + length
    return table, end


def _pitch(nx: int, margin: int) -> int:
    """Numbers of a row: the margin, its values and at least four zeros, in whole cache lines."""
    return margin + -(-(nx + 4) // margin) * margin


def _flat(field: Tensor) -> np.ndarray:
    """The values of a field as one array, a view of a contiguous one."""
    return field.detach().contiguous().numpy().reshape(-1)


def _unpadded(field: np.ndarray, ny: int, nx: int, pitch: int, loops: ModuleType) -> np.ndarray:
    values = np.empty(ny * nx)
    loops.unpad(np.ascontiguousarray(field), values, ny, nx, pitch)
    return values.reshape(ny, nx)


def _dense(planes: list[np.ndarray]) -> np.ndarray:
    """The symmetric matrix whose diagonal and couplings the planes are."""
    ny, nx = planes[0].shape
    node, matrix = np.arange(ny * nx).reshape(ny, nx), np.zeros((ny * nx, ny * nx))
    for (up, right), plane in zip(OFFSETS, planes, strict=False):
        own = slice(0, ny - up), slice(max(0, -right), nx - max(0, right))
        other = slice(up, ny), slice(max(0, right), nx - max(0, -right))
        matrix[node[own], node[other]] = matrix[node[other], node[own]] = plane[own]
    return matrix
