"""`SpectralTransform`: truncated Fourier, cosine and sine transforms on any grid, as matrix products."""

from __future__ import annotations

from math import ceil, pi, prod
from typing import Any

import torch
from torch import Tensor

from opnet.spaces.grid import Grid

BASES = ("fourier", "cosine", "sine")


class SpectralTransform:
    """Coefficients of a function in the lowest modes of a basis, and back.

    With the box's lengths L and lower corner x0, the functions of one axis are

        fourier: exp(2 pi i k (x - x0) / P), |k| < m, of period P = L (1 + padding), the function being 0 beyond L;
        cosine:  cos(pi k (x - x0) / L), 0 <= k < m (the even extension: Neumann);
        sine:    sin(pi k (x - x0) / L), 1 <= k <= m (the odd extension: Dirichlet).

    Coefficients are integrals over the box by the grid's quadrature, so that they mean the same at every resolution.
    Of a real function's Fourier coefficients the half with k >= 0 on the first axis is kept.

    Each axis is one product with a small matrix. Values lie as (*grid, rest), coefficients as (mode, part, rest):
    `rest` is whatever else there is (batch and channel), `part` real and imaginary for Fourier, single otherwise.

    Args:
        grid: where values sit.
        modes: m, for every axis.
        basis: "fourier", "cosine" or "sine".
        padding: for Fourier, the extension of the period as a fraction of L, on axes that are not periodic.

    Raises:
        ValueError: for an unknown basis, a padding it does not take, or modes beyond what the grid resolves.

    >>> grid = Grid((32,), nodes="cell")
    >>> transform = SpectralTransform(grid, (3,), "cosine")
    >>> wave = torch.cos(2 * pi * grid.axis(0))
    >>> coefficients = transform.forward(wave[:, None])
    >>> [round(float(c), 12) + 0.0 for c in coefficients.flatten()]
    [0.0, 0.0, 1.0]
    >>> torch.allclose(transform.inverse(coefficients)[:, 0], wave)
    True
    """

    def __init__(
        self,
        grid: Grid,
        modes: tuple[int, ...],
        basis: str = "fourier",
        *,
        padding: float = 0.0,
        dtype: torch.dtype = torch.float64,
        device: Any = None,
    ) -> None:
        _check(grid, modes, basis, padding)
        self.grid = grid
        self.parts = 2 if basis == "fourier" else 1
        self.n_modes = prod(mode_shape(modes, basis))
        # Built in float64 whatever the dtype, and outside inference mode, which would bar the matrices from training.
        with torch.inference_mode(False), torch.no_grad():
            pairs = [axis_matrices(grid, axis, modes[axis], basis, padding, device) for axis in range(grid.dim)]
            self._analysis = [analysis.to(dtype) for analysis, _ in pairs]
            self._synthesis = [synthesis.to(dtype) for _, synthesis in pairs]

    def forward(self, values: Tensor) -> Tensor:
        """Coefficients of values.  # shape: (*grid, rest) -> (mode, part, rest)"""
        rest = values.shape[self.grid.dim :]
        lead = 1
        for matrix in self._analysis:
            values = _product(matrix, values.reshape(lead, matrix.shape[1], -1))
            lead *= matrix.shape[0] // self.parts
        return values.reshape(lead, self.parts, *rest)

    def inverse(self, coefficients: Tensor, add_to: Tensor | None = None) -> Tensor:
        """Values of the truncated sum, plus `add_to`.  # shape: (mode, part, rest) -> (*grid, rest)"""
        rest = coefficients.shape[2:]
        lead = self.n_modes
        for matrix in self._synthesis[:0:-1]:
            lead //= matrix.shape[1] // self.parts
            coefficients = _product(matrix, coefficients.reshape(lead, matrix.shape[1], -1))
        matrix = self._synthesis[0]
        coefficients = coefficients.reshape(matrix.shape[1], -1)
        if add_to is None:
            values = matrix @ coefficients
        else:
            values = torch.addmm(add_to.reshape(matrix.shape[0], -1), matrix, coefficients)
        return values.reshape(*self.grid.shape, *rest)


def mode_shape(modes: tuple[int, ...], basis: str) -> tuple[int, ...]:
    """How many functions of each axis make the modes that `SpectralTransform` keeps.

    >>> mode_shape((12, 12), "fourier"), mode_shape((12, 12), "cosine")
    ((12, 23), (12, 12))
    """
    if basis != "fourier":
        return modes
    return (modes[0], *(2 * m - 1 for m in modes[1:]))


def _product(matrix: Tensor, values: Tensor) -> Tensor:
    """matrix @ values[i] for every i: one large product where i is alone, which is faster than a batch of one."""
    return (matrix @ values[0])[None] if len(values) == 1 else torch.matmul(matrix, values)


def _check(grid: Grid, modes: tuple[int, ...], basis: str, padding: float) -> None:
    if basis not in BASES:
        raise ValueError(f"basis: expected one of {', '.join(BASES)}, found {basis!r}")
    if len(modes) != grid.dim:
        raise ValueError(f"modes: expected {grid.dim}, one for each axis of the grid {grid.shape}, found {modes}")
    if not padding >= 0 or (padding and basis != "fourier"):
        raise ValueError(f"padding: expected 0, or for the Fourier basis a positive fraction, found {padding}")
    for axis, m in enumerate(modes):
        if _periodic(grid, axis) and basis != "fourier":
            raise ValueError(f"basis: expected 'fourier', since axis {axis} is periodic, found {basis!r}")
        if basis == "cosine" and grid.nodes[axis] not in ("cell", "vertex"):
            raise ValueError(
                f"the cosine basis needs cell or vertex nodes, found {grid.nodes[axis]!r} on axis {axis}: "
                "complete the grid first (opnet.spaces.interpolation.close_ends)"
            )
        most = max_modes(grid, axis, basis, padding)
        if not 1 <= m <= most:
            raise ValueError(
                f"modes: expected 1 to {most} on axis {axis}, the most that {grid.shape[axis]} {grid.nodes[axis]} "
                f"nodes resolve in the {basis} basis, found {m}"
            )


def _period(grid: Grid, axis: int, padding: float) -> float:
    """The Fourier functions' period as a multiple of the axis's length."""
    return 1.0 if _periodic(grid, axis) else 1.0 + padding


def _periodic(grid: Grid, axis: int) -> bool:
    return grid.boundary[axis][0] == "periodic"


def max_modes(grid: Grid, axis: int, basis: str, padding: float = 0.0) -> int:
    """The largest m whose functions the nodes of an axis tell apart: none beyond the Nyquist frequency.

    >>> grid = Grid((16,), nodes="cell")
    >>> max_modes(grid, 0, "fourier"), max_modes(grid, 0, "cosine")
    (8, 16)
    """
    intervals = round(grid.lengths[axis] / grid.spacing[axis])
    if basis == "fourier":
        return ceil(round(intervals * _period(grid, axis, padding) / 2, 6))
    if basis == "sine":
        return intervals if grid.nodes[axis] == "cell" else intervals - 1
    return grid.shape[axis]


def axis_matrices(
    grid: Grid, axis: int, m: int, basis: str, padding: float = 0.0, device: Any = None
) -> tuple[Tensor, Tensor]:
    """Analysis (mode * part, part * node) and synthesis (part * node, mode * part) of one axis.

    On the first axis a Fourier transform's values are real, so `part` is single on the node's side.
    """
    length = grid.lengths[axis]
    x = (grid.axis(axis, device=device) - grid.extent[axis][0]) / length
    weights = grid.axis_weights(axis, device=device) / length
    if basis == "fourier":
        first = axis == 0
        k = torch.arange(0 if first else 1 - m, m, dtype=torch.float64, device=device)
        period = _period(grid, axis, padding)
        angle = 2 * pi / period * k[:, None] * x
        # exp(-i angle) for the analysis, exp(i angle) for the synthesis; both acting on stacked (real, imaginary).
        cos, sin = angle.cos(), angle.sin()
        rotation = torch.stack([torch.stack([cos, sin], 1), torch.stack([-sin, cos], 1)], 1)  # (k, part, part, node)
        synthesis = rotation.permute(2, 3, 0, 1)
        if first:
            # The modes k < 0 that are not kept are conjugates of those that are, whence the factor 2.
            rotation, synthesis = rotation[:, :, :1], synthesis[:1] * torch.where(k == 0, 1.0, 2.0)[:, None]
        n_columns = rotation.shape[2] * len(x)
        analysis = rotation * weights / period
        return analysis.reshape(2 * len(k), n_columns), synthesis.reshape(n_columns, 2 * len(k))
    k = torch.arange(1, m + 1) if basis == "sine" else torch.arange(m)
    angle = pi * k.to(x)[:, None] * x
    functions = angle.sin() if basis == "sine" else angle.cos()
    weighted = functions * weights
    return weighted / (weighted * functions).sum(1, keepdim=True), functions.T.contiguous()
