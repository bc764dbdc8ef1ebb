"""`FactorisedWeight`: a tensor of weights held as a Tucker, CP or tensor-train factorisation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod, sqrt

import torch
from torch import Tensor, nn

from opnet.core.expect import found, integer, integers, is_integer

FACTORISATIONS = ("tucker", "cp", "tt")
Rank = float | Sequence[int]


class FactorisedWeight(nn.Module):
    """A tensor W of shape (I_1, ..., I_N), of which only factors are stored and learned:

        tucker:  W[i_1, ..., i_N] = sum_{r_1 ... r_N} G[r_1, ..., r_N] U_1[i_1, r_1] ... U_N[i_N, r_N]
        cp:      W[i_1, ..., i_N] = sum_r U_1[i_1, r] ... U_N[i_N, r]
        tt:      W[i_1, ..., i_N] = G_1[i_1] G_2[i_2] ... G_N[i_N], a product of matrices G_k[i] (r_(k-1), r_k)

    A call makes W, axis after axis, so that whatever takes a weight takes it, at a cost that does not grow with the
    batch. With Tucker or tensor-train factors of a tenth of the parameters this is below a tenth of `FNO`'s training
    step at 12 modes, width 32 and 20 samples of 64^2, and nearly half at 16 modes, width 64 and 8 samples. For the same
    share CP's rank is far above the axes: two fifths of the step, and twenty times the rest of it: give it an integer.

    Args:
        shape: (I_1, ..., I_N).
        factorisation: "tucker", "cp" or "tt".
        rank: a fraction is the share of the I_1 ... I_N numbers of W that the factors have together, ranks being in
            proportion to the I_k; integers are the ranks themselves: one for all, or one for each axis ("tucker") or
            inner bond ("tt", N - 1 of them).
        parts: 1 for a real W, 2 for a complex one, stored and given real with a trailing axis of real and imaginary
            part.
        variance: mean of |W|^2 over the independent normal factors a new tensor has, each of which carries an equal
            part of it.

    Attributes:
        ranks: one for each axis ("tucker"), the one ("cp"), or those of the inner bonds ("tt").

    Raises:
        ValueError: for another factorisation, a share outside (0, 1], or ranks that do not fit the shape.

    Source: Kossaifi et al., Multi-Grid Tensorized Fourier Neural Operator, 2023, section 3.2; the share of a rank
    has the meaning that TensorLy gives it.

    >>> weight = FactorisedWeight((12, 23, 32, 32), "tucker", 0.1)
    >>> weight.ranks, weight().shape, sum(p.numel() for p in weight.parameters()) / weight().numel()
    ((7, 13, 18, 18), torch.Size([12, 23, 32, 32]), 0.1...)
    """

    def __init__(
        self,
        shape: Sequence[int],
        factorisation: str,
        rank: Rank = 0.1,
        *,
        parts: int = 1,
        variance: float = 1.0,
    ) -> None:
        super().__init__()
        shape = integers("shape", shape, "positive integers")
        if factorisation not in FACTORISATIONS:
            raise ValueError(f"factorisation: expected one of {', '.join(FACTORISATIONS)}, found {factorisation!r}")
        self.shape, self.factorisation, self.parts = shape, factorisation, parts
        self.ranks = _ranks(shape, factorisation, rank)
        sizes = _sizes(shape, factorisation, self.ranks)
        # Each sum over a rank adds as many independent terms: the factor it ends in is scaled down for it.
        terms = {
            "tucker": (1, *self.ranks),
            "cp": (self.ranks[0] ** (1 / len(shape)),) * len(shape),
            "tt": (*self.ranks, 1),
        }[factorisation]
        even = variance ** (1 / len(sizes))
        trailing = (2,) if parts == 2 else ()
        self.factors = nn.ParameterList(
            nn.Parameter(sqrt(even / (n * parts)) * torch.randn(*size, *trailing))
            for size, n in zip(sizes, terms, strict=True)
        )

    def forward(self, first: int | None = None) -> Tensor:
        """W, or W[first] from what it alone needs.  # shape: (*shape[, 2]), or without the first axis"""
        factors = [torch.view_as_complex(f) if self.parts == 2 else f for f in self.factors]
        shape = self.shape
        if first is not None:
            axis = {"tucker": 1, "cp": 0, "tt": 0}[self.factorisation]
            factors[axis] = factors[axis].narrow(1 if self.factorisation == "tt" else 0, first, 1)
            shape = shape[1:]
        dense = _CONTRACTIONS[self.factorisation](factors).reshape(shape)
        return torch.view_as_real(dense) if self.parts == 2 else dense


def _tucker(factors: list[Tensor]) -> Tensor:
    dense, *matrices = factors
    for matrix in matrices:  # each takes the first axis and puts its own last: after all, the order is the old one
        dense = torch.tensordot(dense, matrix, dims=([0], [1]))
    return dense


def _cp(factors: list[Tensor]) -> Tensor:
    rows, *others, last = factors
    for matrix in others:
        rows = (rows[:, None] * matrix).reshape(-1, rows.shape[1])
    return rows @ last.T


def _train(factors: list[Tensor]) -> Tensor:
    rows = factors[0][0]
    for factor in factors[1:]:
        rows = (rows @ factor.reshape(len(factor), -1)).reshape(-1, factor.shape[2])
    return rows


_CONTRACTIONS = {"tucker": _tucker, "cp": _cp, "tt": _train}


def _sizes(shape: tuple[int, ...], factorisation: str, ranks: tuple[int, ...]) -> list[tuple[int, ...]]:
    if factorisation == "tucker":
        return [ranks, *zip(shape, ranks, strict=True)]
    if factorisation == "cp":
        return [(n, ranks[0]) for n in shape]
    return list(zip((1, *ranks), shape, (*ranks, 1), strict=True))


def _ranks(shape: tuple[int, ...], factorisation: str, rank: Rank) -> tuple[int, ...]:
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"shape: expected at least two positive integers, found {shape}")
    count = {"tucker": len(shape), "cp": 1, "tt": len(shape) - 1}[factorisation]
    if isinstance(rank, float):
        if not 0 < rank <= 1:
            raise ValueError(f"rank: expected a share in (0, 1] or integers, found {rank}")
        return {"tucker": _tucker_ranks, "cp": _cp_ranks, "tt": _train_ranks}[factorisation](shape, rank)
    if isinstance(rank, str) or not (is_integer(rank) or isinstance(rank, Sequence)):
        raise ValueError(f"rank: expected a share in (0, 1] or integers, found {found(rank)}")
    ranks = (integer("rank", rank),) * count if is_integer(rank) else integers("rank", rank, "integers")
    if len(ranks) != count or min(ranks) < 1:
        raise ValueError(f"rank: expected {count} positive, for {factorisation!r} of shape {shape}, found {ranks}")
    if factorisation == "tucker" and any(r > n for r, n in zip(ranks, shape, strict=True)):
        raise ValueError(f"rank: expected at most {shape}, the shape, for 'tucker', found {ranks}")
    return ranks


def _tucker_ranks(shape: tuple[int, ...], share: float) -> tuple[int, ...]:
    """Ranks c I_k with c^N I_1 ... I_N + c sum I_k^2 = share I_1 ... I_N."""
    total, squares = prod(shape), sum(n * n for n in shape)
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if middle ** len(shape) * total + middle * squares < share * total else (low, middle)
    return tuple(max(round(n * low), 1) for n in shape)


def _cp_ranks(shape: tuple[int, ...], share: float) -> tuple[int, ...]:
    """The rank R with R sum I_k = share I_1 ... I_N."""
    return (max(round(share * prod(shape) / sum(shape)), 1),)


def _train_ranks(shape: tuple[int, ...], share: float) -> tuple[int, ...]:
    """Ranks c d_k, d_k the mean of the axes beside a bond, with as many numbers in the factors as the share says."""
    bonds = [(a + b) / 2 for a, b in pairwise(shape)]
    squared = sum(a * n * b for (a, b), n in zip(pairwise(bonds), shape[1:-1], strict=True))
    linear = shape[0] * bonds[0] + shape[-1] * bonds[-1]
    wanted = share * prod(shape)
    c = 2 * wanted / (linear + sqrt(linear**2 + 4 * squared * wanted))
    return tuple(max(round(d * c), 1) for d in bonds)
