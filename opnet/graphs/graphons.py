"""The graphons that have names, and those made of a user's function or matrix.

`tent()`, `hoelder_tent(a)`, `arithmetic_mean()`, `square_and_root()`, `exponential_of_powers()`,
`sigmoid_of_squares()`, `weierstrass(a)`; blocks: `hsbm(levels)`, `checkerboard(m)`, `stochastic_block(...)`,
`from_matrix(P)`; {0,1}-valued with a boundary across the axes: `band(width)`, `hexaflake(depth)`,
`koch_snowflake(depth)`, or along them: `sierpinski_carpet(depth)`; `from_function(W)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isclose
from typing import Any

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.graphs.band import Band
from opnet.graphs.finite_rank import ArithmeticMean, ExponentialOfPowers, SquareAndRoot, Weierstrass
from opnet.graphs.fractals.carpet import sierpinski_carpet
from opnet.graphs.fractals.hexaflake import hexaflake
from opnet.graphs.fractals.koch import koch_snowflake
from opnet.graphs.function import FunctionGraphon, SmoothFunctionGraphon, check_kernel, check_range
from opnet.graphs.graphon import Graphon
from opnet.graphs.smooth import SigmoidOfSquares
from opnet.graphs.stationary import HoelderTent
from opnet.graphs.step import SignBlocks, StepGraphon
from opnet.graphs.tent import Tent

__all__ = [
    "arithmetic_mean",
    "band",
    "checkerboard",
    "exponential_of_powers",
    "from_function",
    "from_matrix",
    "hexaflake",
    "hoelder_tent",
    "hsbm",
    "koch_snowflake",
    "sierpinski_carpet",
    "sigmoid_of_squares",
    "square_and_root",
    "stochastic_block",
    "tent",
    "weierstrass",
]


@register("graphon", "tent")
def tent() -> Graphon:
    """W(x, y) = max(0, 1 - |x - y|).

    >>> float(tent()(torch.tensor(0.2), torch.tensor(0.7)))
    0.5
    """
    return Tent()


@register("graphon", "hoelder_tent")
def hoelder_tent(a: float = 0.5) -> Graphon:
    """W(x, y) = max(0, 1 - |x - y|^a): Hoelder continuous of exponent a, in the mean of min(1, a + 1/2).

    Raises:
        ValueError: unless 0 < a < 1 (a = 1 is `tent`).
    """
    if not 0 < a < 1:
        raise ValueError(f"hoelder_tent.a: expected an exponent between 0 and 1, found {a}")
    return HoelderTent(a)


@register("graphon", "arithmetic_mean")
def arithmetic_mean() -> Graphon:
    """W(x, y) = (x + y) / 2: smooth, of rank 2.

    >>> arithmetic_mean().rank
    2
    """
    return ArithmeticMean()


@register("graphon", "square_and_root")
def square_and_root() -> Graphon:
    """W(x, y) = (x^2 + y^2 + sqrt x + sqrt y) / 4, of rank 2."""
    return SquareAndRoot()


@register("graphon", "exponential_of_powers")
def exponential_of_powers() -> Graphon:
    """W(x, y) = exp(-(x^0.7 + y^0.7)), of rank 1."""
    return ExponentialOfPowers()


@register("graphon", "sigmoid_of_squares")
def sigmoid_of_squares() -> Graphon:
    """W(x, y) = 1 / (1 + exp(-2 (x^2 + y^2))): analytic, of rank 10 to the accuracy of float64."""
    return SigmoidOfSquares()


@register("graphon", "weierstrass")
def weierstrass(a: float = 0.5) -> Graphon:
    """W(x, y) = 1/2 + (f(x) + f(y)) / 4 with Weierstrass' f: of rank 2, and nowhere smoother than its exponent a.

    Raises:
        ValueError: unless 0 < a < 1.
    """
    if not 0 < a < 1:
        raise ValueError(f"weierstrass.a: expected an exponent between 0 and 1, found {a}")
    return Weierstrass(a)


@register("graphon", "hsbm")
def hsbm(levels: int) -> Graphon:
    """Hierarchical stochastic block model: W = (1 - t_i t_j) / 2 on 2^levels equal blocks, t the Thue-Morse signs.

    {0,1}-valued, of rank 2, boundary made of axis-parallel lines.

    Raises:
        ValueError: unless 1 <= levels <= 12.

    >>> W = hsbm(1)
    >>> W(torch.tensor([0.2, 0.2]), torch.tensor([0.3, 0.7]))
    tensor([0., 1.])
    """
    if not 1 <= levels <= 12:
        raise ValueError(f"hsbm: expected 1 to 12 levels, found {levels}")
    signs = tuple(1 - 2 * (i.bit_count() % 2) for i in range(2**levels))
    return SignBlocks(f"hsbm({levels})", signs, alike=False)


@register("graphon", "checkerboard")
def checkerboard(m: int) -> Graphon:
    """W = 1 where floor(m x) + floor(m y) is even, else 0; {0,1}-valued, of rank 2.

    Raises:
        ValueError: for fewer than 2 cells a side.

    >>> checkerboard(2)(torch.tensor([0.2, 0.2]), torch.tensor([0.3, 0.7]))
    tensor([1., 0.])
    """
    if m < 2:
        raise ValueError(f"checkerboard: expected at least 2 cells a side, found {m}")
    return SignBlocks(f"checkerboard({m})", tuple(1 - 2 * (i % 2) for i in range(m)), alike=True)


@register("graphon", "stochastic_block")
def stochastic_block(probabilities: list[list[float]], shares: list[float] | None = None) -> Graphon:
    """Stochastic block model: W = P_ab for x in block a and y in block b.

    Args:
        probabilities: P, symmetric, with values in [0, 1].
        shares: the width of each block, adding up to 1; equal ones by default.

    Raises:
        ValueError: for a P that is not square, symmetric and in [0, 1], or shares that do not fit it.

    >>> W = stochastic_block([[0.9, 0.1], [0.1, 0.5]], [0.3, 0.7])
    >>> W(torch.tensor([0.2, 0.2, 0.3]), torch.tensor([0.1, 0.8, 0.9]))
    tensor([0.9000, 0.1000, 0.5000])
    """
    return _step("stochastic_block", probabilities, shares)


@register("graphon", "band")
def band(width: float = 0.2) -> Graphon:
    """W = 1 where x and y are at most width / 2 apart around the circle: the ring of width n nearest neighbours.

    {0,1}-valued, its boundary two lines across the axes.

    Raises:
        ValueError: unless 0 < width < 1.

    >>> band(0.2)(torch.tensor([0.05, 0.05]), torch.tensor([0.97, 0.2]))
    tensor([1., 0.])
    """
    if not 0 < width < 1:
        raise ValueError(f"band.width: expected a share between 0 and 1, found {width}")
    return Band(width)


def from_matrix(matrix: Any, name: str = "matrix") -> Graphon:
    """The step graphon of a matrix: W = P_ab on m x m equal squares.

    Args:
        matrix: P, symmetric, with values in [0, 1]: a tensor, array or nested list, (m, m).
        name: what results call it.

    Raises:
        ValueError: for a P that is not square, symmetric and in [0, 1].

    >>> from_matrix([[0.0, 1.0], [1.0, 0.0]]).zero_one
    True
    """
    return _step(name, matrix, None)


def from_function(
    function: Callable[[Tensor, Tensor], Tensor],
    name: str = "function",
    *,
    smooth: bool = False,
    kink: float | None = None,
) -> Graphon:
    """A graphon of your own.

    Args:
        function: W, vectorised and symmetric: x (n, 1) and y (1, n) in, values (n, n) in [0, 1] out.
        name: what results call it.
        smooth: W is analytic on the unit square: then it is summed in low rank.
        kink: W is not smooth along the diagonal, behaving like |x - y|^kink: its integrals are taken on both sides.

    Raises:
        ValueError: for a function that is not vectorised, not symmetric, or leaves [0, 1]; for one called smooth that
            polynomials of degree 255 do not resolve; for smooth and kink together, or a kink that is not positive.

    >>> W = from_function(lambda x, y: 1 / (1 + (x - y) ** 2), "lorentzian", smooth=True)
    >>> W, W.rank
    (<graphon lorentzian>, 16)
    """
    check_kernel(function, name)
    if smooth:
        if kink is not None:
            raise ValueError(f"from_function.kink: expected None for a smooth function, found {kink}")
        W = SmoothFunctionGraphon(function, name)
        _ = W.rank  # resolves it, or says that it cannot
        return W
    if kink is not None and not kink > 0:
        raise ValueError(f"from_function.kink: expected a positive power, found {kink}")
    return FunctionGraphon(function, name, kink)


def _step(name: str, matrix: Any, shares: Sequence[float] | None) -> StepGraphon:
    P = torch.as_tensor(matrix, dtype=torch.float64)
    if P.ndim != 2 or P.shape[0] != P.shape[1] or not len(P):
        raise ValueError(f"graphon {name}: expected a square matrix, found shape {tuple(P.shape)}")
    check_range(P, name)
    if not torch.equal(P, P.T):
        i, j = (P != P.T).nonzero()[0].tolist()
        raise ValueError(
            f"graphon {name}: expected a symmetric matrix, found {float(P[i, j]):g} at ({i}, {j}) and "
            f"{float(P[j, i]):g} at ({j}, {i})"
        )
    widths = [1 / len(P)] * len(P) if shares is None else [float(share) for share in shares]
    if len(widths) != len(P) or min(widths) <= 0 or not isclose(sum(widths), 1.0, abs_tol=1e-9):
        raise ValueError(
            f"graphon {name}: expected {len(P)} positive shares that add up to 1, found {len(widths)} that add up to "
            f"{sum(widths):g}"
        )
    return StepGraphon(name, tuple(map(tuple, P.tolist())), tuple(widths))
