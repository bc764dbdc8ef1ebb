"""`Diffusion`: the conservative finite-volume operator of -div(a grad u)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.linops.stencil import Stencil
from opnet.spaces.grid import Grid


@register("operator", "Diffusion")
class Diffusion(LinearOperator):
    r"""`A u = -div(a grad u)` on the cells of a grid, second order for smooth a, conservative for jumping a.

    .. math:: (A u)_i = \sum_{\text{axes}} c_{i-1/2} (u_i - u_{i-1}) + c_{i+1/2} (u_i - u_{i+1}),
       \qquad c_{i+1/2} = \frac{1}{h^2} \frac{2 a_i a_{i+1}}{a_i + a_{i+1}}

    The harmonic mean is exact for a flux crossing an interface that lies on the face (R. J. LeVeque, *Finite Volume
    Methods for Hyperbolic Problems*, Cambridge 2002, equation 4.12 and section 9.12). Dirichlet sides carry u = 0 half
    a cell away, `c = 2 a / h^2`; Neumann sides carry no flux; periodic sides join. A is symmetric, positive definite
    unless no side is Dirichlet (then constants are its kernel). Units: [a] / length^2.

    Args:
        a: the coefficient at the cell midpoints, positive; (*batch, *grid.shape).
        grid: of 1, 2 or 3 axes with cell nodes and Dirichlet, Neumann or periodic sides.

    Raises:
        ValueError: for a coefficient that is not positive and finite or not of the grid's shape, for another dimension,
            for Robin sides, or for nodes other than "cell" (vertex-centred diffusion is not built yet).

    >>> A = Diffusion(torch.ones(4, dtype=torch.float64), Grid((4,), nodes="cell"))
    >>> A.to_dense() / 16
    tensor([[ 3., -1.,  0.,  0.],
            [-1.,  2., -1.,  0.],
            [ 0., -1.,  2., -1.],
            [ 0.,  0., -1.,  3.]], dtype=torch.float64)
    """

    symmetric = True

    def __init__(self, a: Tensor, grid: Grid) -> None:
        _check_grid(grid)
        _check_coefficient(a, grid)
        self._hold([_face_coefficients(a, grid, axis) for axis in range(grid.dim)], grid)

    @classmethod
    def from_faces(cls, faces: Sequence[Tensor], grid: Grid) -> Diffusion:
        """The operator with given face coefficients c, one tensor an axis, of length n + 1 along that axis.

        They hold the 1/h^2; on a periodic axis the first and last face are one.
        """
        _check_grid(grid)
        for axis, c in enumerate(faces):
            expected = tuple(n + (i == axis) for i, n in enumerate(grid.shape))
            if tuple(c.shape[c.ndim - grid.dim :]) != expected:
                raise ValueError(f"faces[{axis}]: expected shape (..., {expected}), found {tuple(c.shape)}")
        operator = cls.__new__(cls)
        operator._hold(list(faces), grid)
        return operator

    def _hold(self, faces: list[Tensor], grid: Grid) -> None:
        self.grid, self.faces = grid, tuple(faces)
        self.in_shape = self.out_shape = grid.shape
        self.batch_shape = tuple(faces[0].shape[: faces[0].ndim - grid.dim])
        self.dtype, self.device = faces[0].dtype, faces[0].device
        total: Any = 0.0
        couplings = {}
        for axis, c in enumerate(faces):
            dim, n = axis - grid.dim, grid.shape[axis]
            total = total + c.narrow(dim, 0, n) + c.narrow(dim, 1, n)
            couplings[tuple(int(i == axis) for i in range(grid.dim))] = -c.narrow(dim, 1, n)
        periodic = [low == "periodic" for low, _ in grid.boundary]
        self._stencil = Stencil({(0,) * grid.dim: total, **couplings}, periodic, symmetric=True)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.faces

    def rebuild(self, tensors: tuple[Tensor, ...]) -> Diffusion:
        operator = Diffusion.__new__(Diffusion)
        operator._hold(list(tensors), self.grid)
        return operator

    def stencil(self) -> Stencil:
        """The same operator as a symmetric `Stencil`."""
        return self._stencil

    @property
    def singular(self) -> bool:
        """Whether constants are in the kernel: no side is Dirichlet."""
        return all(side != "dirichlet" for pair in self.grid.boundary for side in pair)

    def nullspace(self) -> Tensor | None:
        """The constant of unit 2-norm if no side is Dirichlet.  # shape: (1, *grid.shape)"""
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

    def to_scipy(self) -> Any:
        """The same matrix as a `scipy.sparse.csr_array`, unknowns in C order; not batched."""
        return self._stencil.to_scipy()


def _face_coefficients(a: Tensor, grid: Grid, axis: int) -> Tensor:
    """c on all n + 1 faces along one axis, by resistances: half a cell has the resistance 1 / (2 a)."""
    dim, n, h = axis - grid.dim, grid.shape[axis], grid.spacing[axis]
    half = 0.5 / a
    first, last = half.narrow(dim, 0, 1), half.narrow(dim, n - 1, 1)
    inner = 1 / (half.narrow(dim, 0, n - 1) + half.narrow(dim, 1, n - 1))
    sides = {"dirichlet": lambda r: 1 / r, "neumann": torch.zeros_like, "periodic": lambda _: 1 / (first + last)}
    low, high = (sides[kind](r) for kind, r in zip(grid.boundary[axis], (first, last), strict=True))
    return torch.cat([low, inner, high], dim) / h**2


def _check_grid(grid: Grid) -> None:
    expect("Diffusion.grid", grid, Grid, 'a Grid such as Grid((64, 64), nodes="cell")')
    if grid.dim > 3:
        raise ValueError(f"Diffusion.grid: expected 1, 2 or 3 axes, found {grid.dim}")
    if set(grid.nodes) != {"cell"}:
        raise ValueError(f'Diffusion.grid: expected nodes="cell" (others are not built yet), found {grid.nodes}')
    if any("robin" in pair for pair in grid.boundary):
        raise ValueError(
            f"Diffusion.grid: expected no Robin sides, which are not built yet, found boundary {grid.boundary}"
        )


def _check_coefficient(a: Tensor, grid: Grid) -> None:
    expect("Diffusion.a", a, Tensor, "a Tensor")
    if not a.dtype.is_floating_point or a.ndim < grid.dim or tuple(a.shape[a.ndim - grid.dim :]) != grid.shape:
        raise ValueError(
            f"Diffusion.a: expected a floating tensor of shape (..., {', '.join(map(str, grid.shape))}), "
            f"found {tuple(a.shape)} of {a.dtype}"
        )
    if not bool(((a > 0) & (a < torch.inf)).all()):
        bad = a[~((a > 0) & (a < torch.inf))]
        raise ValueError(f"Diffusion.a: expected positive finite values, found {float(bad[0])} ({bad.numel()} such)")
