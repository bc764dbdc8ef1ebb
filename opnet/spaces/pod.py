"""`pod`: the functions that span a set of functions best (proper orthogonal decomposition, or PCA of functions)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from opnet.core.expect import integer
from opnet.core.typing import Float
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import check_on_grid, linear_interpolate


@dataclass(frozen=True)
class PODBasis:
    """A mean and the modes about it: `u = mean + sum_k c_k modes_k`, c_k the coordinates of u in the basis.

    Args:
        grid: where mean and modes sit.
        mean: (channel, *grid); zero where the basis is of functions as they are.
        modes: (rank, channel, *grid), orthonormal in the quadrature of the grid they were made on, channels summed.
        singular_values: (rank,), falling: the root mean square of each c_k over the functions it was made of.
        explained: the share of those functions' mean square about the mean that the modes hold.
    """

    grid: Grid
    mean: Float[Tensor, "channel *grid"]
    modes: Float[Tensor, "rank channel *grid"]
    singular_values: Float[Tensor, " rank"]
    explained: float

    @property
    def rank(self) -> int:
        return len(self.modes)

    def at(self, grid: Grid) -> PODBasis:
        """The same functions at the nodes of another grid on the box, by multilinear interpolation."""
        mean, modes = (linear_interpolate(values, self.grid, grid) for values in (self.mean[None], self.modes))
        return replace(self, grid=grid, mean=mean[0], modes=modes)

    def project(self, values: Float[Tensor, "sample channel *grid"]) -> Float[Tensor, "sample rank"]:
        """c of the best approximations to `values` in the grid's quadrature.

        Raises:
            ValueError: for values that do not lie on the grid, or a grid of fewer values than modes.
        """
        check_on_grid(values, self.grid)
        return project(values, self.mean, self.modes, self.grid)

    def reconstruct(self, coefficients: Float[Tensor, "sample rank"]) -> Float[Tensor, "sample channel *grid"]:
        """`mean + sum_k c_k modes_k`."""
        return self.mean + torch.tensordot(coefficients, self.modes, dims=1)


def pod(values: Float[Tensor, "sample channel *grid"], grid: Grid, rank: int, *, centred: bool = True) -> PODBasis:
    r"""The `rank` modes that approximate `values` best: of all bases of this size theirs leaves the smallest

    .. math:: \sum_i \| u_i - \bar u - \sum_k \langle u_i - \bar u, \phi_k \rangle \phi_k \|^2,
       \qquad \langle u, v \rangle = \sum_{channel} \int u v

    with the integral by the grid's quadrature: the left singular vectors of the functions, their entries weighted by
    the roots of the quadrature weights. So modes and singular values converge as the grid is refined. Each mode's value
    of largest size is positive. Found in float64, returned in the dtype of the values.

    Args:
        rank: number of modes; at most what the functions span.
        centred: about the mean of the functions (PCA), or about zero.

    Raises:
        ValueError: for values that do not lie on the grid, or a rank beyond what they span.

    Source: L. Sirovich, Turbulence and the dynamics of coherent structures, Quart. Appl. Math. 45 (1987), part I.

    >>> grid = Grid((32,), nodes="cell")
    >>> x = grid.axis(0)
    >>> u = torch.stack([1 + c * torch.cos(torch.pi * x) for c in (-3.0, 1.0, 2.0)])[:, None]
    >>> basis = pod(u, grid, 1)
    >>> round(basis.explained, 6), torch.allclose(basis.reconstruct(basis.project(u)), u)
    (1.0, True)
    """
    check_on_grid(values, grid)
    rank = integer("rank", rank)
    mean = values.double().mean(0) if centred else values.new_zeros(values.shape[1:]).double()
    roots = grid.weights(device=values.device).sqrt()
    scaled = ((values.double() - mean) * roots).flatten(1) / len(values) ** 0.5
    _, singular, vectors = torch.linalg.svd(scaled, full_matrices=False)
    spanned = int((singular > 1e-12 * singular[0]).sum()) if len(values) else 0
    if not 1 <= rank <= spanned:
        raise ValueError(f"rank: expected 1 to {spanned}, what the {len(values)} functions span, found {rank}")
    modes = vectors[:rank].unflatten(1, mean.shape) / roots
    flat = modes.flatten(1)
    modes = modes * flat.gather(1, flat.abs().argmax(1, keepdim=True)).sign().reshape(-1, *(1,) * mean.ndim)
    explained = float(singular[:rank].square().sum() / singular.square().sum())
    dtype = values.dtype
    return PODBasis(grid, mean.to(dtype), modes.to(dtype), singular[:rank].to(dtype), explained)


def project(values: Tensor, mean: Tensor, modes: Tensor, grid: Grid) -> Float[Tensor, "sample rank"]:
    """Coefficients of the best approximations `mean + sum_k c_k modes_k` to `values` in the quadrature of `grid`.

    The modes' Gram matrix is taken into account: interpolated from another grid they are no longer orthonormal.
    """
    if modes[0].numel() < len(modes):
        raise ValueError(
            f"grid: expected at least {len(modes)} values a function, one a mode, found {modes[0].numel()}"
        )
    weighted = (modes * grid.weights(modes.dtype, modes.device)).flatten(1)
    gram = weighted @ modes.flatten(1).T
    return torch.linalg.solve(gram, weighted @ (values - mean).flatten(1).T).T
