"""`SpectralTransform`: truncated Fourier, cosine and sine transforms on any grid."""

from __future__ import annotations

from copy import copy
from math import ceil, pi, prod
from typing import Any

import torch
from torch import Tensor

from opnet.spaces.axis_maps import FAST_FROM, AxisMap, MatrixMap, WaveMap
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

    Each axis is one product with a small real matrix, or for many modes a fast Fourier transform; for a Fourier axis
    after the first, of the real and the imaginary part each, whose cosines and sines make the modes k and -k. Values
    lie as (*grid, rest), coefficients as (mode, part, rest): `rest` is whatever else there is (batch and channel),
    `part` real and imaginary for Fourier, single otherwise.

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
            maps = [axis_maps(grid, axis, modes[axis], basis, padding, dtype, device) for axis in range(grid.dim)]
        self._analysis = [analysis for analysis, _ in maps]
        self._synthesis = [synthesis for _, synthesis in maps]

    @property
    def adjoint(self) -> SpectralTransform:
        """The transform whose `forward` is the transpose of `inverse`, and whose `inverse` that of `forward`."""
        other = copy(self)
        other._analysis = [synthesis.transposed for synthesis in self._synthesis]
        other._synthesis = [analysis.transposed for analysis in self._analysis]
        return other

    def forward(self, values: Tensor) -> Tensor:
        """Coefficients of values.  # shape: (*grid, rest) -> (mode, part, rest)"""
        rest = values.shape[self.grid.dim :]
        lead = 1  # (mode, part) of the axes done
        for axis, analysis in enumerate(self._analysis):
            rows, nodes = analysis.shape
            values = analysis(values.reshape(lead, nodes, -1))
            if axis and self.parts == 2:
                values = _modes_of_waves(values.reshape(lead // 2, 2, rows, -1))
            lead *= rows
        return values.reshape(self.n_modes, self.parts, *rest)

    def inverse(self, coefficients: Tensor, add_to: Tensor | None = None, *, in_place: bool = False) -> Tensor:
        """Values of the truncated sum, plus `add_to`, into which they are added for `in_place`.

        # shape: (mode, part, rest) -> (*grid, rest)
        """
        rest = coefficients.shape[2:]
        lead = self.n_modes * self.parts
        for axis in range(self.grid.dim - 1, 0, -1):
            synthesis = self._synthesis[axis]
            rows = synthesis.shape[1]
            lead //= rows
            if self.parts == 2:
                coefficients = _waves_of_modes(coefficients.reshape(lead // 2, rows, 2, -1))
            coefficients = synthesis(coefficients.reshape(lead, rows, -1))
        synthesis = self._synthesis[0]
        coefficients = coefficients.reshape(1, synthesis.shape[1], -1)
        if in_place and add_to is not None:
            synthesis(coefficients, add_to.view(1, synthesis.shape[0], -1))
            return add_to
        values = synthesis(coefficients).reshape(*self.grid.shape, *rest)
        return values if add_to is None else add_to + values


def mode_shape(modes: tuple[int, ...], basis: str) -> tuple[int, ...]:
    """How many functions of each axis make the modes that `SpectralTransform` keeps.

    >>> mode_shape((12, 12), "fourier"), mode_shape((12, 12), "cosine")
    ((12, 23), (12, 12))
    """
    if basis != "fourier":
        return modes
    return (modes[0], *(2 * m - 1 for m in modes[1:]))


def _modes_of_waves(values: Tensor) -> Tensor:
    """With c and s the integrals against cosine and sine: c - i s for k >= 0, c + i s for -k, in order of k.

    # shape: (lead, part, wave, rest) -> (lead, mode, part, rest)
    """
    cos, sin = _cosines_and_sines(values, 2)
    constant, real, imaginary = values[:, :, :1], cos[:, 0], cos[:, 1]
    turned_real, turned_imaginary = sin[:, 1], sin[:, 0]
    positive = torch.stack([real + turned_real, imaginary - turned_imaginary], 2)
    negative = torch.stack([real - turned_real, imaginary + turned_imaginary], 2)
    return torch.cat([negative.flip(1), constant.transpose(1, 2), positive], 1)


def _waves_of_modes(coefficients: Tensor) -> Tensor:
    """The transpose: what multiplies each cosine and sine in the sum of `exp(i k x)` over k and -k.

    # shape: (lead, mode, part, rest) -> (lead, part, wave, rest)
    """
    m = (coefficients.shape[1] + 1) // 2
    negative, positive = coefficients[:, : m - 1].flip(1), coefficients[:, m:]
    cos, difference = positive + negative, positive - negative
    sin = torch.stack([-difference[:, :, 1], difference[:, :, 0]], 2)
    return torch.cat([coefficients[:, m - 1 : m], cos, sin], 1).transpose(1, 2)


def _cosines_and_sines(values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Those of k >= 1."""
    m = (values.shape[axis] + 1) // 2
    return values.narrow(axis, 1, m - 1), values.narrow(axis, m, m - 1)


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


def axis_maps(
    grid: Grid, axis: int, m: int, basis: str, padding: float, dtype: torch.dtype, device: Any
) -> tuple[AxisMap, AxisMap]:
    """`axis_matrices`, by the fast Fourier transform where that is faster and gives the same: see `FAST_FROM`."""
    n, offset = grid.shape[axis], {"cell": 0.5, "left": 0.0}.get(grid.nodes[axis])  # n equal parts of the length
    if basis == "fourier" and m >= FAST_FROM and offset is not None and _period(grid, axis, padding) == 1.0:
        ones = torch.ones(m, dtype=dtype, device=device)
        # On the first axis each mode stands for its conjugate too.
        twice = torch.where(torch.arange(m, device=device) > 0, 2.0, 1.0).to(ones) if axis == 0 else ones
        waves = [WaveMap(n, m, offset, scale, split=axis > 0) for scale in (ones / n, twice)]
        return waves[0], waves[1].transposed
    analysis, synthesis = axis_matrices(grid, axis, m, basis, padding, device)
    return MatrixMap(analysis.to(dtype)), MatrixMap(synthesis.to(dtype))


def axis_matrices(
    grid: Grid, axis: int, m: int, basis: str, padding: float = 0.0, device: Any = None
) -> tuple[Tensor, Tensor]:
    """Analysis (row, node) and synthesis (node, row) of one axis; a row for every mode.

    Rows of a Fourier transform: on the first axis (mode, part), its values being real; on the others the cosines
    0 <= k < m, then the sines 1 <= k < m.
    """
    x = (grid.axis(axis, device=device) - grid.extent[axis][0]) / grid.lengths[axis]
    weights = grid.axis_weights(axis, device=device) / grid.lengths[axis]
    k = torch.arange(1, m + 1) if basis == "sine" else torch.arange(m)
    if basis == "fourier":
        period = _period(grid, axis, padding)
        angle = 2 * pi / period * k.to(x)[:, None] * x
        cos, sin, weights = angle.cos(), angle.sin(), weights / period
        if axis:
            waves = torch.cat([cos, sin[1:]])
            return waves * weights, waves.T.contiguous()
        waves = torch.stack([cos, -sin], 1)
        # The modes k < 0 that are not kept are conjugates of those that are, whence the factor 2.
        synthesis = waves * torch.where(k == 0, 1.0, 2.0).to(x)[:, None, None]
        return (waves * weights).flatten(0, 1), synthesis.flatten(0, 1).T.contiguous()
    angle = pi * k.to(x)[:, None] * x
    functions = angle.sin() if basis == "sine" else angle.cos()
    weighted = functions * weights
    return weighted / (weighted * functions).sum(1, keepdim=True), functions.T.contiguous()
