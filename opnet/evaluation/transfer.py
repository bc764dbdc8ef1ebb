"""`measure_transfer`: models trained at some sizes, evaluated at others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from opnet.evaluation.convergence import by_part
from opnet.evaluation.intervals import t_interval
from opnet.evaluation.plots import error_axes, scale_errors, styles
from opnet.evaluation.records import Record, record

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class TransferFit:
    """`error(n1, n2) = C (n1^-rate + n2^-rate) + tau(n1)`, least squares of the logarithms.

    Fixed weights and features promise the first term; tau is what training leaves, whatever the size tested at.

    Attributes:
        C, rate: of the law.
        floors: tau of each training size; all alike where one floor was asked for.
        misfit: root mean square of log(measured / fitted).
    """

    C: float
    rate: float
    floors: Mapping[int, float]
    misfit: float

    @property
    def floor(self) -> float:
        """tau where one was asked for, else the geometric mean of them."""
        return float(np.exp(np.mean(np.log(list(self.floors.values())))))

    def __call__(self, n1: int, n2: float) -> float:
        return self.C * (n1**-self.rate + n2**-self.rate) + self.floors[n1]


@dataclass(frozen=True)
class TransferStudy:
    """The matrix of errors.

    Attributes:
        sizes_train, sizes_test, seeds: its axes.
        errors: part -> (train, test, seed); the part is "" where there is but one error.
    """

    sizes_train: tuple[int, ...]
    sizes_test: tuple[int, ...]
    seeds: tuple[int, ...]
    errors: dict[str, NDArray[np.float64]]

    def matrix(self, part: str = "") -> NDArray[np.float64]:
        """Errors averaged over seeds; (train, test)."""
        return self.errors[part].mean(2)

    def fit(self, part: str = "", *, floor_of_each: bool = False) -> TransferFit | None:
        """The law the matrix follows, the least of the fits from several starting rates; None where there is none.

        That is for one size alone on an axis (its term and the floor are then one), too few entries for its
        parameters, an entry that is zero, and errors that do not fall with the sizes beyond their scatter: C and rate
        would be fitted to noise. The law must beat its floors alone by the F test at 5 %: with m entries, k floors and
        S the sums of squares left in log error, two more parameters bring S_law / S_floors below r by chance with
        probability r^((m - k - 2) / 2). Entries of one training size share their models, so few seeds may still pass
        for a law by luck.

        Args:
            floor_of_each: a tau for each training size, else one for all.
        """
        from scipy.optimize import least_squares

        matrix = self.matrix(part)
        k = len(self.sizes_train) if floor_of_each else 1
        if min(matrix.shape) < 2 or matrix.size < k + 4 or matrix.min() <= 0:
            return None
        n1, n2 = np.array(self.sizes_train, float)[:, None], np.array(self.sizes_test, float)[None, :]
        goal = np.log(matrix)

        def misfit(p: NDArray[np.float64]) -> NDArray[np.float64]:
            law = np.exp(p[0]) * (n1 ** -p[1] + n2 ** -p[1]) + np.exp(p[2:])[:, None]
            return (np.log(law) - goal).ravel()

        least = matrix.min(1) if floor_of_each else matrix.min(keepdims=True)[0]
        fits = []
        for rate in (0.5, 1.0, 2.0):
            scale = np.log(matrix.mean()) + rate * np.log(min(n1.min(), n2.min()))
            for lower in (0, 3):
                bounds = ([-60.0, 0.05, *[-60.0] * k], [60.0, 4.0, *[60.0] * k])
                fits.append(least_squares(misfit, [scale, rate, *(np.log(least) - lower)], bounds=bounds))
        best = min(fits, key=lambda fit: fit.cost)
        floors_alone = float(((goal - goal.mean(1 if floor_of_each else None, keepdims=True)) ** 2).sum())
        # Equal but for rounding, or no better than the floors alone.
        by_chance = 1.0
        if floors_alone > 1e-20 * goal.size:
            by_chance = (2 * best.cost / floors_alone) ** ((goal.size - k - 2) / 2)
        if by_chance > 0.05:
            return None
        floors = np.broadcast_to(np.exp(best.x[2:]), len(self.sizes_train))
        of_size = dict(zip(self.sizes_train, map(float, floors), strict=True))
        return TransferFit(float(np.exp(best.x[0])), float(best.x[1]), of_size, float(np.sqrt(np.mean(best.fun**2))))

    def zero_shot(self, part: str = "") -> dict[tuple[int, int], float]:
        """(n1, n2) -> error at n2 of models trained at n1, over that of models trained at n2 itself, where there are.

        1 says that nothing is lost by training at n1 instead.
        """
        matrix = self.matrix(part)
        retrained = {
            n: matrix[i, self.sizes_test.index(n)] for i, n in enumerate(self.sizes_train) if n in self.sizes_test
        }
        return {
            (n1, n2): float(matrix[i, self.sizes_test.index(n2)] / error)
            for i, n1 in enumerate(self.sizes_train)
            for n2, error in retrained.items()
            if n1 != n2 and error > 0
        }

    def records(self, **labels: Any) -> list[Record]:
        """Each entry of the matrix with its 95 % t-interval over seeds (`n` is the test size), and the fits found.

        And for sizes both trained and tested at, the ratio of `zero_shot`.
        """
        rows = []
        for part, errors in self.errors.items():
            common = {"part": part or None, **labels}
            for n1, row in zip(self.sizes_train, errors, strict=True):
                for n2, cell in zip(self.sizes_test, row, strict=True):
                    low, high = t_interval(cell) if len(cell) > 1 else (None, None)
                    case = f"n_train={n1}"
                    rows.append(
                        record("transfer_error", float(cell.mean()), low=low, high=high, n=n2, case=case, **common)
                    )
            for (n1, n2), ratio in self.zero_shot(part).items():
                rows.append(record("zero_shot_over_retrained", ratio, n=n2, case=f"n_train={n1}", **common))
            fit = self.fit(part)
            if fit is not None:
                for name in ("C", "rate", "floor", "misfit"):
                    rows.append(record(f"transfer_{name}", getattr(fit, name), **common))
        return rows

    def plot(self, target: Axes | str | Path, *, part: str = "", title: str = "", label: str = "error") -> None:
        """Error against test size, a line a training size, on matplotlib axes or into a file.

        The y axis is logarithmic where errors spread over a factor of 2 or more, else linear from zero; `label` says
        what they are. Bands reach from the least to the greatest error of the seeds.
        """
        errors = self.errors[part]
        with error_axes(target, self.sizes_test, "n", title, label) as axes:
            for n1, row, style in zip(self.sizes_train, errors, styles(len(errors)), strict=True):
                axes.plot(self.sizes_test, row.mean(1), **style, label=f"trained at n = {n1}")
                if len(self.seeds) > 1:
                    band = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
                    axes.fill_between(self.sizes_test, row.min(1), row.max(1), **band)
            scale_errors(axes)


def measure_transfer(
    train_at: Callable[[int, int], Any],
    error_of: Callable[[Any, int, int], float | Mapping[str, float]],
    sizes_train: Sequence[int],
    sizes_test: Sequence[int],
    seeds: Sequence[int] = range(3),
) -> TransferStudy:
    """Train at each of some sizes, evaluate at each of others.

    Args:
        train_at: `train_at(n, seed)` gives a trained model.
        error_of: `error_of(model, n, seed)` gives its error at n nodes, or several by part, such as that against the
            truth on the same graph and that against the limit.
        sizes_train, sizes_test: distinct numbers of nodes.
        seeds: each trains its own models.

    Returns:
        A `TransferStudy`: fixed weights and features promise at most C (n1^-r + n2^-r); training adds a floor.

    Raises:
        ValueError: for no sizes or seeds, or an error that is negative or not finite (naming size, seed and part).

    >>> study = measure_transfer(
    ...     lambda n, seed: n, lambda model, n, seed: 2 / model + 2 / n + 0.01, [10, 40], [20, 80, 320], seeds=[0]
    ... )
    >>> round(study.fit().rate, 3), round(study.fit().floor, 4)
    (1.0, 0.01)
    """
    if not (sizes_train and sizes_test and len(seeds)):
        raise ValueError("measure_transfer: expected sizes to train and test at, and seeds, found none")
    cells: dict[str, list[list[list[float]]]] = {}
    for i, n1 in enumerate(sizes_train):
        for seed in seeds:
            model = train_at(n1, seed)
            for j, n2 in enumerate(sizes_test):
                for part, error in by_part(error_of(model, n2, seed), n2, seed).items():
                    table = cells.setdefault(part, [[[] for _ in sizes_test] for _ in sizes_train])
                    table[i][j].append(error)
    errors = {part: np.array(table) for part, table in cells.items()}
    return TransferStudy(tuple(sizes_train), tuple(sizes_test), tuple(seeds), errors)
