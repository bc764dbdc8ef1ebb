"""`measure_convergence`: how an error falls with a size, beside what theory expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from opnet.evaluation.intervals import t_interval, t_quantile
from opnet.evaluation.plots import INK, error_axes, shifted, styles
from opnet.evaluation.records import Record, record
from opnet.graphs.graphon import EXACT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Errors = float | Mapping[str, float]


def measure_convergence(
    error_at: Callable[[Any, int], Errors],
    sizes: Sequence[float],
    seeds: Sequence[int] = range(5),
    expected: float | Mapping[str, float] | None = None,
    *,
    tolerance: float | Mapping[str, float] | None = None,
    rounding: float = 1e-12,
) -> ConvergenceStudy:
    """Fit `error ~ C size^order` to measured errors.

    Args:
        error_at: `error_at(size, seed)` gives one error, or several by part: {part: error}.
        sizes: at least three, distinct: numbers of nodes, modes or steps (orders come out negative), or mesh widths and
            tolerances (positive).
        seeds: the errors of a size are averaged over these, geometrically.
        expected: the order theory gives, for each part where there are several; -inf for an error that is zero in exact
            arithmetic. Parts that theory is silent about may be left out.
        tolerance: how near to it the order must come for `agrees`.
        rounding: errors up to here are rounding, not signal: sizes with such an error are left out of the fit, and a
            part with nothing else is `exact` and not fitted.

    Returns:
        A `ConvergenceStudy`. Its `order` is the least-squares slope of log error against log size. Its `interval`
        covers both what seeds change and what sizes not yet asymptotic change: seeds alone often agree to three digits
        on a slope that is still on its way. Three estimates are made for each seed:

            1. the least-squares slope over all sizes;
            2. the last local slope, between the two finest sizes;
            3. with four sizes or more, p of the two-term law `error = C size^p (1 + d / n)`, by least squares of
               log error on (1, log size, 1 / n), n the size or, where orders are positive, its inverse;

        each with the 95 % t-interval of its mean over the seeds (from the residuals of the fit 1 where there is but
        one seed). The interval is the hull of the intervals of 1 and 3, and of the mean of 2.

    Raises:
        ValueError: for too few or repeated sizes, no seeds, an error that is negative or not finite (naming size, seed
            and part), or parts that change from call to call.

    >>> study = measure_convergence(lambda n, seed: 3 * n**-0.5 * (1 + 5 / n), [100, 200, 400, 800], seeds=[0])
    >>> round(study.order, 2), [round(p, 3) for p in study.local_orders]
    (-0.52, [-0.535, -0.518, -0.509])
    >>> low, high = study.interval
    >>> low < -0.5 < high
    True
    >>> measure_convergence(lambda n, seed: 1e-16, [1, 2, 3]).exact
    True
    """
    check_sizes(sizes)
    sizes, seeds = sorted(sizes), list(seeds)
    if not seeds:
        raise ValueError("seeds: expected at least one, found none")
    rows = [[by_part(error_at(size, seed), size, seed) for seed in seeds] for size in sizes]
    parts = list(rows[0][0])
    for row in rows:
        for cell in row:
            if list(cell) != parts:
                raise ValueError(f"error_at: expected the parts {parts} at every size and seed, found {list(cell)}")
    curves = {}
    for part in parts:
        errors = np.array([[cell[part] for cell in row] for row in rows])
        theory, allowed = _of_part(expected, part), _of_part(tolerance, part)
        curves[part] = Convergence(part, tuple(sizes), tuple(seeds), errors, theory, allowed, rounding)
    return ConvergenceStudy(curves)


def check_sizes(sizes: Sequence[float]) -> None:
    """Raise a `ValueError` unless an order can be fitted at these sizes."""
    if len(set(sizes)) < 3 or len(set(sizes)) != len(sizes) or min(sizes) <= 0:
        raise ValueError(f"sizes: expected at least three distinct positive numbers, found {list(sizes)}")


@dataclass(frozen=True)
class Convergence:
    """One error against size. See `measure_convergence` for how order and interval are made.

    Attributes:
        part: which error; "" for the only one.
        sizes: ascending.
        seeds: in the order of the columns of `errors`.
        errors: (size, seed).
        expected: the order theory gives, or None.
        tolerance: how near to it the order must come, or None.
        rounding: errors up to here are rounding.
    """

    part: str
    sizes: tuple[float, ...]
    seeds: tuple[int, ...]
    errors: NDArray[np.float64]
    expected: float | None
    tolerance: float | None
    rounding: float

    @property
    def exact(self) -> bool:
        """Whether no size has an error above rounding."""
        return bool((self.errors <= self.rounding).all())

    @property
    def order(self) -> float:
        """The least-squares slope; NaN where fewer than two sizes have errors above rounding."""
        return float(self._slopes.mean()) if self._fitted.sum() >= 2 else nan

    @property
    def local_orders(self) -> list[float]:
        """Slopes between neighbouring sizes, of the errors' geometric mean over seeds."""
        x, y = self._logarithms
        return (np.diff(y.mean(1)) / np.diff(x)).tolist() if len(x) >= 2 else []

    @property
    def interval(self) -> tuple[float, float]:
        """What the order may be, seeds and sizes considered."""
        if not self._fitted.sum() >= 2:
            return nan, nan
        last = self.local_orders[-1]
        ends = [last, last, *t_interval(self._slopes, self._residual_error)]
        if self._fitted.sum() >= 4:
            ends += t_interval(self._asymptotic_slopes, self._residual_error)
        return float(min(ends)), float(max(ends))

    @property
    def agrees(self) -> bool | None:
        """Whether the order is within `tolerance` of `expected`; None where either is not given."""
        if self.expected is None:
            return None
        if self.expected == EXACT:
            return self.exact
        if self.tolerance is None:
            return None
        return abs(self.order - self.expected) <= self.tolerance

    def records(self, **labels: Any) -> list[Record]:
        """The order (or, where exact, the largest error) and every error, as flat records."""
        common = {"part": self.part or None, **labels}
        errors = [
            record("error", float(e), n=size, seed=seed, **common)
            for size, row in zip(self.sizes, self.errors, strict=True)
            for seed, e in zip(self.seeds, row, strict=True)
        ]
        if self.exact or self.expected == EXACT:
            largest = float(self.errors.max())
            return [record("largest_error", largest, expected=0.0, tolerance=self.rounding, **common), *errors]
        if not isfinite(self.order):
            return errors
        low, high = self.interval
        fit = {"low": low, "high": high, "expected": self.expected, "tolerance": self.tolerance}
        return [record("order", self.order, **fit, **common), *errors]

    def draw(self, axes: Axes, style: Mapping[str, Any], place: float = 0.5) -> None:
        """Errors of every seed, their geometric mean, and a dashed segment of the expected slope close above it.

        Errors that are zero are left out, and an exact part is but an entry of the legend.

        Args:
            style: of the mean's line and markers, as `opnet.evaluation.plots.styles` gives them.
            place: from 0 to 1, of this part among others: where along the curve the segment stands, and how far to the
                left or right of their size the dots of the seeds.
        """
        if self.exact:
            axes.plot([], [], **{**style, "linestyle": "none"}, label=self._legend)
            return
        errors = np.where(self.errors > 0, self.errors, nan)
        axes.loglog(self.sizes, np.exp(np.log(errors).mean(1)), **style, label=self._legend)
        # Beside their size, so that neither the mean nor another part covers them.
        beside = shifted(axes.transData, axes, 20 * (place - 0.5) if place != 0.5 else 6, 0)
        for column in errors.T:
            axes.loglog(self.sizes, column, ".", color=style["color"], markersize=3, transform=beside)
            # What is drawn by a shifted transform does not widen the axes by itself.
            seen = np.isfinite(column)
            axes.update_datalim(np.stack([np.array(self.sizes)[seen], column[seen]], 1))
        if self._has_slope:
            self._draw_theory(axes, style["color"], place)

    def _draw_theory(self, axes: Axes, colour: str, place: float) -> None:
        assert self.expected is not None
        x, y = self._logarithms
        middle = x[0] + place * (x[-1] - x[0])
        ends = middle + np.array([-0.07, 0.07]) * (x[-1] - x[0])
        line = np.interp(middle, x, y.mean(1)) + self.expected * (ends - middle)
        above = shifted(axes.transData, axes, 0, 7)
        axes.plot(np.exp(ends), np.exp(line), "--", color=colour, linewidth=1.2, transform=above)

    @property
    def _has_slope(self) -> bool:
        """Whether there is a slope of theory to draw beside the curve."""
        finite = self.expected is not None and isfinite(self.expected)
        return finite and bool(self._fitted.sum() >= 2)

    @property
    def _legend(self) -> str:
        name = f"{self.part}: " if self.part else ""
        if self.exact:
            return f"{name}exact"
        low, high = self.interval
        # An interval wider than 1, or none, tells no order from the next.
        found = f"{self.order:.3f} [{low:.3f}, {high:.3f}]" if high - low <= 1 else "order not resolved"
        if self.expected is None:
            return name + found
        return f"{name}{found}, theory {'exact' if self.expected == EXACT else format(self.expected, 'g')}"

    @property
    def _fitted(self) -> NDArray[np.bool_]:
        """Sizes all of whose errors stand above rounding."""
        return np.asarray((self.errors > self.rounding).all(1))

    @property
    def _logarithms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.log(np.array(self.sizes, dtype=float)[self._fitted]), np.log(self.errors[self._fitted])

    @property
    def _slopes(self) -> NDArray[np.float64]:
        x, y = self._logarithms
        return np.linalg.lstsq(np.stack([np.ones_like(x), x], 1), y, rcond=None)[0][1]

    @property
    def _asymptotic_slopes(self) -> NDArray[np.float64]:
        x, y = self._logarithms
        small = np.exp(-x if self.order < 0 else x)  # 1 / n, n counting what makes the error small
        columns = np.stack([np.ones_like(x), x, small / small.max()], 1)
        return np.linalg.lstsq(columns, y, rcond=None)[0][1]

    @property
    def _residual_error(self) -> float:
        """Standard error of the slope from the scatter about the line, times t."""
        x, y = self._logarithms
        if len(x) < 3:
            return 0.0
        mean = y.mean(1)
        residual = mean - np.polyval(np.polyfit(x, mean, 1), x)
        spread = float(np.sqrt((residual**2).sum() / (len(x) - 2) / ((x - x.mean()) ** 2).sum()))
        return t_quantile(len(x) - 2) * spread


@dataclass(frozen=True)
class ConvergenceStudy:
    """Convergence of one error or of several parts; `study[part]` is a `Convergence`.

    For a single error `order`, `interval`, `local_orders`, `exact` and `agrees` are values, for parts dicts of them.
    """

    curves: dict[str, Convergence]

    def __getitem__(self, part: str) -> Convergence:
        return self.curves[part]

    @property
    def order(self) -> Any:
        return self._each("order")

    @property
    def interval(self) -> Any:
        return self._each("interval")

    @property
    def local_orders(self) -> Any:
        return self._each("local_orders")

    @property
    def exact(self) -> Any:
        return self._each("exact")

    @property
    def agrees(self) -> Any:
        return self._each("agrees")

    def records(self, **labels: Any) -> list[Record]:
        """Flat records of all parts, with `labels` such as `graphon="tent"` on each."""
        return [row for curve in self.curves.values() for row in curve.records(**labels)]

    def plot(self, target: Axes | str | Path, *, size_name: str = "n", title: str = "") -> None:
        """Draw on matplotlib axes, or into a file of the format its ending says.

        The legend gives each part's order and interval, "order not resolved" where the interval is wider than 1, and
        "exact" for an exact part, which has no curve. It stands below the axes: a figure of yours needs
        `layout="constrained"`, or room there.
        """
        sizes = next(iter(self.curves.values())).sizes
        with error_axes(target, sizes, size_name, title) as axes:
            count = len(self.curves)
            for i, (curve, style) in enumerate(zip(self.curves.values(), styles(count), strict=True)):
                # Segments of theory stand side by side, as curves may coincide.
                curve.draw(axes, style, (i + 1) / (count + 1))
            if any(not curve.exact and curve._has_slope for curve in self.curves.values()):
                axes.plot([], [], "--", color=INK, linewidth=1.2, label="slope of theory")

    def _each(self, name: str) -> Any:
        if list(self.curves) == [""]:
            return getattr(self.curves[""], name)
        return {part: getattr(curve, name) for part, curve in self.curves.items()}


def by_part(errors: Errors, size: float, seed: int) -> dict[str, float]:
    """Errors under the names of their parts, checked; a single one under ""."""
    named = dict(errors) if isinstance(errors, Mapping) else {"": errors}
    for part, error in named.items():
        if not (isfinite(error) and error >= 0):
            where = f"size {size}, seed {seed}" + (f", part {part!r}" if part else "")
            raise ValueError(f"error_at: expected a finite, non-negative error at {where}, found {error}")
    return {part: float(error) for part, error in named.items()}


def _of_part(value: float | Mapping[str, float] | None, part: str) -> float | None:
    return value.get(part) if isinstance(value, Mapping) else value
