"""`Spectral`: an operator that is diagonal in the Fourier basis."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import expect, found
from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.spaces.grid import Grid


@register("operator", "Spectral")
class Spectral(LinearOperator):
    r"""`A x = F^{-1}(m F x)` on a periodic grid, with F the discrete Fourier transform of the nodes' values.

    A function u whose waves the grid resolves gets each wave exp(i k x) multiplied by m(k): `m = -|k|^2` is the exact
    Laplacian of trigonometric polynomials (L. N. Trefethen, *Spectral Methods in MATLAB*, SIAM 2000, chapter 3).

    A real operator has m(-k) = conj m(k) and stores the half with k >= 0 on the last axis, as `torch.fft.rfftn` does;
    the highest wave of an even number of nodes, which is its own opposite, takes the mean of m and its conjugate: none
    of an odd derivative.

    Args:
        multiplier: a function of the angular wavenumbers 2 pi j / L, one tensor an axis, that broadcast; or its values,
            (*batch, *grid.shape) in the order of `torch.fft.fftn`, or for a real operator that of `rfftn`, last axis
            n // 2 + 1. Where a real operator's values contradict each other their Hermitian part is taken.
        grid: periodic on every axis.
        dtype: of the arguments, real or complex; real of the precision of the values by default, float64 for a
            function.
        device: where a function is evaluated.

    Attributes:
        m: the values; real ones make A^H = A.

    Raises:
        ValueError: for a grid that is not periodic, values of another shape or precision, or for a real operator a
            function without m(-k) = conj m(k).

    >>> grid = Grid((8,), boundary="periodic")
    >>> x = 2 * pi * grid.axis(0)
    >>> derivative = Spectral(lambda k: 1j * k, grid)
    >>> torch.allclose(derivative @ torch.sin(x), 2 * pi * torch.cos(x))
    True
    >>> torch.allclose(Spectral.laplacian(grid).inverse() @ torch.cos(x), -torch.cos(x) / (2 * pi) ** 2)
    True
    """

    def __init__(
        self,
        multiplier: Callable[..., Tensor] | Tensor,
        grid: Grid,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        expect("Spectral.grid", grid, Grid, 'a Grid such as Grid((64, 64), boundary="periodic")')
        if any(low != "periodic" for low, _ in grid.boundary):
            raise ValueError(f"Spectral.grid: expected periodic axes, found boundary {grid.boundary}")
        values = multiplier if isinstance(multiplier, Tensor) else None
        if dtype is None:
            dtype = torch.float64 if values is None else values.dtype.to_real()
        if not (dtype.is_floating_point or dtype.is_complex):
            raise ValueError(f"Spectral.dtype: expected a floating or complex dtype, found {dtype}")
        if values is None:
            values = _evaluate(multiplier, grid, dtype, device)
        shape = grid.shape if dtype.is_complex else (*grid.shape[:-1], grid.shape[-1] // 2 + 1)
        fits = tuple(values.shape[max(0, values.ndim - grid.dim) :]) == shape
        if not fits or values.dtype not in (dtype.to_real(), dtype.to_complex()):
            raise ValueError(
                f"Spectral.multiplier: expected a tensor of shape (..., {', '.join(map(str, shape))} frequencies) of "
                f"{dtype.to_real()} or {dtype.to_complex()}, found {tuple(values.shape)} of {values.dtype}"
            )
        self._hold(values, grid, dtype)

    def _hold(self, m: Tensor, grid: Grid, dtype: torch.dtype) -> None:
        self.m, self.grid = m if dtype.is_complex else _hermitian_part(m, grid), grid
        self.in_shape = self.out_shape = grid.shape
        self.batch_shape = tuple(m.shape[: m.ndim - grid.dim])
        self.dtype, self.device = dtype, m.device
        self.symmetric = not (dtype.is_complex or m.is_complex())

    def _of(self, m: Tensor, dtype: torch.dtype | None = None) -> Spectral:
        operator = Spectral.__new__(Spectral)
        operator._hold(m, self.grid, dtype or self.dtype)
        return operator

    @classmethod
    def laplacian(
        cls, grid: Grid, *, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None
    ) -> Spectral:
        """The Laplacian, m = -|k|^2; its kernel are the constants."""
        k = wavenumbers(grid, dtype, device)
        return cls(-torch.stack(torch.broadcast_tensors(*(ki.square() for ki in k))).sum(0), grid, dtype=dtype)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (self.m,)

    def rebuild(self, tensors: tuple[Tensor, ...]) -> Spectral:
        return self._of(tensors[0])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Spectral:
        dtype = dtype or self.dtype
        if dtype.is_complex != self.dtype.is_complex:
            kind = "complex" if self.dtype.is_complex else "real"
            raise ValueError(f"Spectral.to: expected a {kind} dtype, found {dtype}")
        return self._of(self.m.to(device, dtype.to_complex() if self.m.is_complex() else dtype.to_real()), dtype)

    @property
    def hermitian(self) -> bool:
        return not self.m.is_complex()

    def apply(self, x: Tensor) -> Tensor:
        self.check_argument(x)
        return filtered(x, self.m, self.grid.shape)

    def transpose(self) -> Spectral:
        if self.symmetric:
            return self
        return self._of(_opposite(self.m, self.grid.dim) if self.dtype.is_complex else self.m.conj().resolve_conj())

    def conj(self) -> Spectral:
        return self._of(_opposite(self.m, self.grid.dim).conj().resolve_conj()) if self.dtype.is_complex else self

    def inverse(self) -> Spectral:
        """The operator of 1 / m; waves with m = 0, such as the constant of a Laplacian, give 0 (pseudo-inverse)."""
        zero = self.m == 0
        return self._of(torch.where(zero, 0, 1 / torch.where(zero, 1, self.m)))

    def nullspace(self) -> Tensor | None:
        """The constant of unit 2-norm if m(0) = 0.  # shape: (1, *grid.shape)"""
        if bool((self.m.flatten(-self.grid.dim)[..., 0] != 0).any()):
            return None
        constant = torch.ones(1, *self.in_shape, dtype=self.dtype, device=self.device)
        return constant / torch.linalg.vector_norm(constant)

    def diagonal(self) -> Tensor:
        """The mean of m, at every node."""
        impulse = torch.zeros(self.in_shape, dtype=self.dtype, device=self.device)
        impulse[(0,) * self.grid.dim] = 1
        mean = filtered(impulse, self.m, self.grid.shape).flatten(-self.grid.dim)[..., 0]
        return mean.reshape(*self.batch_shape, *(1,) * self.grid.dim).expand(*self.batch_shape, *self.in_shape)


def wavenumbers(grid: Grid, dtype: torch.dtype, device: torch.device | str | None = None) -> list[Tensor]:
    """Angular wavenumbers 2 pi j / L of each axis, shaped to broadcast; of the last only j >= 0 if dtype is real."""
    waves = []
    for axis, (n, h) in enumerate(zip(grid.shape, grid.spacing, strict=True)):
        half = axis == grid.dim - 1 and not dtype.is_complex
        frequencies = (torch.fft.rfftfreq if half else torch.fft.fftfreq)(n, h, dtype=dtype.to_real(), device=device)
        waves.append((2 * pi * frequencies).reshape(-1, *(1,) * (grid.dim - 1 - axis)))
    return waves


def _evaluate(multiplier: Any, grid: Grid, dtype: torch.dtype, device: Any) -> Tensor:
    """The function's values; of a real operator's highest waves, which are their own opposites, the mean of both."""
    if not callable(multiplier):
        raise ValueError(
            f"Spectral.multiplier: expected a function of wavenumbers or a Tensor, found {found(multiplier)}"
        )
    k = wavenumbers(grid, dtype, device)
    values = torch.as_tensor(multiplier(*k), device=device)
    values = values.expand(torch.broadcast_shapes(values.shape, *(ki.shape for ki in k)))
    if dtype.is_complex:
        return values
    highest = [2 * ki.abs() * h > 2 * pi * (1 - 1e-6) for ki, h in zip(k, grid.spacing, strict=True)]
    opposite = multiplier(*(torch.where(top, ki, -ki) for ki, top in zip(k, highest, strict=True)))
    mean = (values + torch.as_tensor(opposite, device=device).conj()) / 2
    differs = ~torch.isclose(mean, values, rtol=1e-5, atol=1e-8 * float(values.detach().abs().max()))
    for top in highest:
        differs = differs & ~top
    if bool(differs.any()):
        raise ValueError(
            "Spectral.multiplier: expected m(-k) = conj(m(k)) for a real operator, found otherwise at "
            f"{int(differs.sum())} wavenumbers; a complex dtype takes any m"
        )
    return mean


def filtered(x: Tensor, m: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """The first values of F^-1(m F x), x continued by zeros to the given lengths."""
    shape, dims = x.shape[x.ndim - len(lengths) :], tuple(range(-len(lengths), 0))
    if x.is_complex():
        y = torch.fft.ifftn(m * torch.fft.fftn(x, lengths, dims), dim=dims)
    else:
        y = torch.fft.irfftn(m * torch.fft.rfftn(x, lengths, dims), lengths, dims)
    return y[(..., *(slice(0, n) for n in shape))]


def _opposite(m: Tensor, axes: int) -> Tensor:
    """The field k -> m(-k) on the last `axes` dimensions."""
    dims = tuple(range(-axes, 0))
    return torch.roll(m.flip(dims), (1,) * axes, dims) if axes else m


def _hermitian_part(m: Tensor, grid: Grid) -> Tensor:
    """m, but the means of m(k) and conj(m(-k)) where both are stored: waves that are 0 or highest on the last axis."""
    n = grid.shape[-1]
    m = m.clone()
    for column in {0, n // 2} if n % 2 == 0 else {0}:
        values = m[..., column]
        m[..., column] = (values + _opposite(values, grid.dim - 1).conj()) / 2
    return m
