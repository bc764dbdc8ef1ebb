"""`Diffusion`: the conservative finite-volume operator of -div(a grad u) + c u."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.core.registry import register
from opnet.linops.base import LinearOperator, joint_batch
from opnet.linops.faces import (
    FACES,
    Side,
    across,
    axis_faces,
    field,
    fixed_nodes,
    holds_nodes,
    side_values,
    volumes,
    with_boundary_nodes,
)
from opnet.linops.stencil import Stencil
from opnet.spaces.grid import Grid

PLACES = {"interior": ("dirichlet",), "left": ("periodic",)}  # sides that a placement of nodes takes, where not all


@register("operator", "Diffusion")
class Diffusion(LinearOperator):
    r"""`A u = -div(a grad u) + c u` on a grid, second order for smooth a, conservative for jumping a.

    .. math:: (A u)_i = \sum_{\text{axes}} t_{i-1/2} (u_i - u_{i-1}) + t_{i+1/2} (u_i - u_{i+1}) + c_i u_i,
       \qquad t_{i+1/2} = \frac{1}{h^2} \frac{2 a_i a_{i+1}}{a_i + a_{i+1}}

    The harmonic mean is exact for a flux crossing an interface that lies on the face (R. J. LeVeque, *Finite Volume
    Methods for Hyperbolic Problems*, Cambridge 2002, equation 4.12 and section 9.12). A is symmetric (for complex c or
    beta complex symmetric, A^T = A), positive definite if a, c and beta are real, c and beta not negative, and some
    side is Dirichlet or something else holds the constants, which are otherwise the kernel. Units: [a] / length^2.

    The sides carry

    - "dirichlet": u = g. Cells have the side half a spacing away, `t = 2 a / h^2`; "interior" nodes a whole one, where
      a is that of the node unless `a` has the boundary nodes too.
    - "neumann": a du/dn = g, n pointing outwards, and "robin": a du/dn + beta u = g. On cells half a cell and 1 / beta
      are resistances in series, `t = 1 / (h (h / (2 a) + 1 / beta))`; on vertices `t = beta / h`.
    - "periodic" sides join; "left" nodes are for these alone.

    **Vertices on a side** have half a control volume (at an edge or corner less). Every equation is multiplied by its
    node's control volume relative to an inner one's, w = 1, 1/2, 1/4, ..., as symmetry asks: A stands for
    w (-div(a grad) + c). Nodes on a Dirichlet side are decoupled: their equations are d u = d g, with d the sum of
    their face coefficients, and nothing couples to them.

    The right-hand side must be made the same way; `right_hand_side` does, for every placement and inhomogeneous data.

    Args:
        a: the coefficient at the nodes, of positive real part; (*batch, *grid.shape). A sequence of d such fields is a
            diagonal tensor, one entry an axis. "interior" axes may have n + 2 values, the boundary nodes among them.
        grid: of 1, 2 or 3 axes.
        c: the reaction coefficient, a number or (*batch, *grid.shape), real or complex: -k^2 is Helmholtz's.
        faces: "harmonic" or "arithmetic", the mean of a on a face.
        robin: beta, a number for all Robin sides or a mapping from (axis, side) to a number or a tensor over the side,
            (*batch, *the other axes); side 0 is the low one, 1 the high one. -1j k absorbs waves exp(-i omega t).

    Raises:
        ValueError: for a coefficient that is not positive and finite or not of the grid's shape, for another dimension,
            for sides that the nodes do not take, or for a Robin side without beta.

    >>> A = Diffusion(torch.ones(4, dtype=torch.float64), Grid((4,), nodes="cell"))
    >>> A.to_dense() / 16
    tensor([[ 3., -1.,  0.,  0.],
            [-1.,  2., -1.,  0.],
            [ 0., -1.,  2., -1.],
            [ 0.,  0., -1.,  3.]], dtype=torch.float64)
    """

    symmetric = self_contained = True
    _data: dict[Side, Tensor] | None  # what boundary data are multiplied by, where it is known

    def __init__(
        self,
        a: Tensor | Sequence[Tensor],
        grid: Grid,
        *,
        c: complex | Tensor | None = None,
        faces: str = "harmonic",
        robin: complex | Tensor | Mapping[Side, complex | Tensor] | None = None,
    ) -> None:
        _check_grid(grid)
        if faces not in FACES:
            raise ValueError(f"Diffusion.faces: expected one of {', '.join(FACES)}, found {faces!r}")
        fields: list[Tensor] = list(a) if isinstance(a, (list, tuple)) else [a] * grid.dim  # type: ignore[list-item]
        _check_coefficient(fields, grid)
        dtype, device = fields[0].dtype, fields[0].device
        beta = side_values("Diffusion.robin", _robin_sides(grid, robin), grid, dtype, device)
        reaction = None if c is None else field("Diffusion.c", c, grid.shape, dtype, device)
        given = [*fields, *beta.values(), *([] if reaction is None else [reaction])]
        joint_batch("Diffusion", *(values.shape[: max(0, values.ndim - grid.dim)] for values in given))
        parts = []
        for axis, values in enumerate(fields):
            values = across(with_boundary_nodes(values, grid), grid, axis)
            parts.append(axis_faces(values, grid, axis, faces, beta))
        if any(part.t.is_complex() for part in parts) or (reaction is not None and reaction.is_complex()):
            dtype = dtype.to_complex()
        if reaction is not None:
            reaction = _where_free(
                _weighted(reaction.to(dtype), grid).expand(*reaction.shape[: -grid.dim], *grid.shape), grid
            )
        flows = [_weighted(part.t.to(dtype), grid, axis) for axis, part in enumerate(parts)]
        self._hold(flows, reaction, grid)
        self._data = {
            (axis, side): _weighted(value.to(dtype), grid, axis)
            for axis, part in enumerate(parts)
            for side, value in enumerate(part.data)
        }

    @classmethod
    def from_faces(cls, faces: Sequence[Tensor], grid: Grid) -> Diffusion:
        """The operator with given face coefficients t, one tensor an axis, of length n + 1 along that axis.

        They hold the 1/h^2, and on vertices the control volumes; on a periodic axis the first and last face are one.
        """
        _check_grid(grid)
        for axis, t in enumerate(faces):
            expected = tuple(n + (i == axis) for i, n in enumerate(grid.shape))
            if tuple(t.shape[t.ndim - grid.dim :]) != expected:
                raise ValueError(f"faces[{axis}]: expected shape (..., {expected}), found {tuple(t.shape)}")
        operator = cls.__new__(cls)
        operator._hold(list(faces), None, grid)
        return operator

    def _hold(self, faces: list[Tensor], reaction: Tensor | None, grid: Grid) -> None:
        self.grid, self.faces, self.reaction = grid, tuple(faces), reaction
        self._data = None
        self.in_shape = self.out_shape = grid.shape
        self.dtype, self.device = faces[0].dtype, faces[0].device
        self._stencil = self._assemble(cut=True)
        self.batch_shape = self._stencil.batch_shape

    def _assemble(self, cut: bool) -> Stencil:
        """The stencil, with or without the coupling of the nodes whose values are known."""
        grid, d = self.grid, self.grid.dim
        parts = self.faces if self.reaction is None else (*self.faces, self.reaction)
        batch = torch.broadcast_shapes(*(part.shape[: part.ndim - d] for part in parts))
        total = torch.zeros(*batch, *grid.shape, dtype=self.dtype, device=self.device)
        periodic = [low == "periodic" for low, _ in grid.boundary]
        half = {(0,) * d: total}
        for axis, t in enumerate(self.faces):
            n = grid.shape[axis]
            total.add_(t.narrow(axis - d, 0, n)).add_(t.narrow(axis - d, 1, n))
            coupling = -t.narrow(axis - d, 1, n)
            if not periodic[axis]:
                coupling.select(axis - d, -1).zero_()
            if cut:
                _cut(coupling, grid, axis)
            half[tuple(int(i == axis) for i in range(d))] = coupling
        if self.reaction is not None:
            total.add_(self.reaction)
        return Stencil.of_half(half, periodic)

    @property
    def singular(self) -> bool:
        """Whether constants are in the kernel: no side is Dirichlet, every beta is zero, and so is c."""
        d = self.grid.dim
        if any("dirichlet" in pair for pair in self.grid.boundary):
            return False
        robin = [
            (axis, -side) for axis, pair in enumerate(self.grid.boundary) for side in (0, 1) if pair[side] == "robin"
        ]
        held = [self.faces[axis].select(axis - d, end) for axis, end in robin]
        return not any(bool((c != 0).any()) for c in held + ([] if self.reaction is None else [self.reaction]))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.faces if self.reaction is None else (*self.faces, self.reaction)

    def rebuild(self, tensors: tuple[Tensor, ...]) -> Diffusion:
        operator, d = Diffusion.__new__(Diffusion), self.grid.dim
        operator._hold(list(tensors[:d]), tensors[d] if len(tensors) > d else None, self.grid)
        return operator

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Diffusion:
        operator = super().to(device, dtype)
        if self._data is not None:
            operator._data = {side: factor.to(device, dtype) for side, factor in self._data.items()}
        return operator

    def stencil(self) -> Stencil:
        """The same operator as a symmetric `Stencil`."""
        return self._stencil

    def nullspace(self) -> Tensor | None:
        """The constant of unit 2-norm if `singular`.  # shape: (1, *grid.shape)"""
        if not self.singular:
            return None
        return torch.full((1, *self.in_shape), prod(self.in_shape) ** -0.5, dtype=self.dtype, device=self.device)

    def apply(self, x: Tensor) -> Tensor:
        self.check_argument(x)
        return self._stencil.apply(x)

    def transpose(self) -> Diffusion:
        return self

    def diagonal(self) -> Tensor:
        return self._stencil.diagonal()

    def norm_bound(self) -> Tensor | None:
        return self._stencil.norm_bound()

    def to_scipy(self) -> Any:
        """The same matrix as a `scipy.sparse.csr_array`, unknowns in C order; not batched."""
        return self._stencil.to_scipy()

    def right_hand_side(self, f: complex | Tensor, boundary: Mapping[Side, complex | Tensor] | None = None) -> Tensor:
        r"""b such that A u = b discretises `-div(a grad u) + c u = f` with the given data on the sides.

        .. math:: b_i = w_i f_i + \sum_{\text{sides at } i} s g, \qquad
           s = t_{side} \text{ (u = g)}, \quad s = \frac{w}{h (1 + \beta h / 2 a)} \text{ (a du/dn + beta u = g)}

        with beta = 0 at a Neumann side and, on vertices, s = w / h; w as in the class, for a side that of its area.
        At nodes on a Dirichlet side b = d g, and what the inner nodes' equations had of g is moved to b.

        Args:
            f: the source at the nodes, a number or (*batch, *grid.shape).
            boundary: g by (axis, side), a number or a tensor over the side, (*batch, *the other axes); 0 where absent.
                Where two Dirichlet sides meet in a node, the later one's value is taken.

        Raises:
            ValueError: for shapes, sides or dtypes that do not fit, or for data on the sides of an operator made of
                its faces or tensors alone.
        """
        grid, d = self.grid, self.grid.dim
        b = field("Diffusion.right_hand_side: f", f, grid.shape, self.dtype, self.device).to(self.dtype)
        data = side_values("Diffusion.right_hand_side: boundary", boundary or {}, grid, self.dtype, self.device)
        data = {side: g.to(self.dtype) for side, g in data.items()}
        batches = [values.shape[: max(0, values.ndim - d)] for values in (b, *data.values())]
        batch = joint_batch("Diffusion.right_hand_side", self.batch_shape, *batches)
        b = _weighted(b, grid).expand(*batch, *grid.shape).clone()
        known = torch.zeros_like(b)
        for (axis, side), g in data.items():
            end = 0 if side == 0 else grid.shape[axis] - 1
            if holds_nodes(grid, (axis, side)):
                known.narrow(axis - d, end, 1).copy_(g.expand_as(known.narrow(axis - d, end, 1)))
                continue
            if self._data is None:
                raise ValueError(
                    "Diffusion.right_hand_side: expected an operator made of a, which knows what its sides' data are "
                    "multiplied by, found one made of face coefficients"
                )
            b.narrow(axis - d, end, 1).add_(self._data[axis, side] * g)
        fixed = fixed_nodes(grid, self.device)
        if fixed is None:
            return b
        return torch.where(fixed, self._stencil.diagonal() * known, b - self._assemble(cut=False).apply(known))


def _cut(coupling: Tensor, grid: Grid, axis: int) -> None:
    """Set to zero the couplings across `axis` that touch a node on a Dirichlet side."""
    for key in product(range(grid.dim), (0, 1)):
        if not holds_nodes(grid, key):
            continue
        other, side = key
        coupling.select(other - grid.dim, -side).zero_()
        if other == axis and side == 1:  # the last coupling across the axis belongs to the last node but one
            coupling.select(other - grid.dim, grid.shape[other] - 2).zero_()


def _weighted(values: Tensor, grid: Grid, axis: int | None = None) -> Tensor:
    """Values at the nodes, or on the faces across an axis, times the relative control volumes."""
    w = volumes(grid, values.dtype.to_real(), values.device, axis)
    return values if w is None else values * w


def _where_free(values: Tensor, grid: Grid) -> Tensor:
    fixed = fixed_nodes(grid, values.device)
    return values if fixed is None else values.masked_fill(fixed, 0)


def _robin_sides(grid: Grid, robin: Any) -> Mapping[Side, Any]:
    """beta by (axis, side), for exactly the Robin sides."""
    sides = [key for key in product(range(grid.dim), (0, 1)) if grid.boundary[key[0]][key[1]] == "robin"]
    given = robin if isinstance(robin, Mapping) else {} if robin is None else dict.fromkeys(sides, robin)
    if set(given) != set(sides) or (robin is not None and not sides):
        raise ValueError(
            f"Diffusion.robin: expected beta for the Robin sides {sides} of the grid, found "
            f"{list(given) if isinstance(robin, Mapping) else robin}"
        )
    return given


def _check_grid(grid: Grid) -> None:
    expect("Diffusion.grid", grid, Grid, 'a Grid such as Grid((64, 64), nodes="cell")')
    if grid.dim > 3:
        raise ValueError(f"Diffusion.grid: expected 1, 2 or 3 axes, found {grid.dim}")
    for axis, (kind, pair) in enumerate(zip(grid.nodes, grid.boundary, strict=True)):
        if any(side not in PLACES.get(kind, pair) for side in pair):
            raise ValueError(
                f'Diffusion.grid: expected {PLACES[kind][0]} sides for the "{kind}" nodes of axis {axis}, found {pair}'
            )


def _check_coefficient(fields: list[Tensor], grid: Grid) -> None:
    if len(fields) != grid.dim:
        raise ValueError(f"Diffusion.a: expected a Tensor, or {grid.dim}, one an axis, found {len(fields)}")
    for a in fields:
        expect("Diffusion.a", a, Tensor, "a Tensor")
        ends = [2 * (kind == "interior") for kind in grid.nodes]
        fits = all(
            m in (n, n + more) for m, n, more in zip(a.shape[a.ndim - grid.dim :], grid.shape, ends, strict=False)
        )
        inexact = a.dtype.is_floating_point or a.dtype.is_complex
        if not inexact or a.ndim < grid.dim or not fits or a.dtype != fields[0].dtype:
            raise ValueError(
                f"Diffusion.a: expected a floating tensor of shape (..., {', '.join(map(str, grid.shape))}), "
                f"found {tuple(a.shape)} of {a.dtype}"
            )
    for a in fields[: 1 if all(a is fields[0] for a in fields) else None]:
        positive = (a.real > 0) & (a.abs() < torch.inf)
        if not bool(positive.all()):
            bad = a[~positive]
            raise ValueError(f"Diffusion.a: expected positive finite values, found {bad[0].item()} ({len(bad)} such)")
