import math

import numpy as np
import pytest

from opnet.evaluation.convergence import measure_convergence
from opnet.graphs.graphon import EXACT

SIZES = [100, 200, 400, 800, 1600]


@pytest.mark.parametrize("order", [-2.0, -0.5, 1.0, 4.0])
def test_finds_a_pure_power(order):
    sizes = SIZES if order < 0 else [0.1, 0.05, 0.025]
    study = measure_convergence(lambda n, seed: (2 + seed) * n**order, sizes, expected=order, tolerance=1e-9)
    assert study.order == pytest.approx(order)
    assert study.local_orders == pytest.approx([order] * (len(sizes) - 1))
    assert study.interval == pytest.approx((order, order))
    assert study.agrees is True


def test_interval_covers_the_truth_where_seeds_agree_on_a_wrong_slope():
    # Every seed reads -0.61 within 0.001; the truth is -0.5.
    study = measure_convergence(lambda n, seed: n**-0.5 * (1 + 60 / n) * (1 + seed), SIZES)
    assert study.order < -0.55
    low, high = study.interval
    assert low <= study.order
    assert high > -0.53
    assert study.local_orders[-1] > study.order


def test_interval_covers_the_truth_at_the_rate_it_claims():
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        noise = np.exp(0.1 * generator.normal(size=(len(SIZES), 5)))
        study = measure_convergence(lambda n, seed, noise=noise: noise[SIZES.index(n), seed] / n, SIZES)
        covered += study.interval[0] <= -1 <= study.interval[1]
    assert covered >= 190


def test_one_seed_is_judged_by_the_scatter_about_the_line():
    wobble = dict(zip(SIZES, [1.2, 0.8, 1.2, 0.8, 1.2], strict=True))
    low, high = measure_convergence(lambda n, seed: wobble[n] / n, SIZES, seeds=[0]).interval
    assert low < -1 < high
    assert high - low > 0.2


def test_errors_at_rounding_level_are_exact_not_fitted():
    study = measure_convergence(
        lambda n, seed: {"operator": 1e-16 * n, "nodal": 1 / n},
        SIZES,
        expected={"operator": EXACT, "nodal": -1.0},
        tolerance={"nodal": 0.1},
    )
    assert study.exact == {"operator": True, "nodal": False}
    assert math.isnan(study.order["operator"])
    assert study.agrees == {"operator": True, "nodal": True}
    (largest,) = [r for r in study.records() if r["name"] == "largest_error"]
    assert (largest["part"], largest["expected"], largest["tolerance"]) == ("operator", 0.0, 1e-12)
    assert largest["value"] == pytest.approx(1.6e-13)
    missed = measure_convergence(lambda n, seed: 1 / n, SIZES, expected=EXACT)
    assert missed.agrees is False
    assert missed.records()[0]["name"] == "largest_error"


def test_sizes_whose_error_is_rounding_are_left_out():
    study = measure_convergence(lambda n, seed: max(1e-15, (n / 50) ** -10.0), SIZES)
    assert study.order == pytest.approx(-10)


def test_records_carry_order_interval_theory_and_every_error():
    study = measure_convergence(lambda n, seed: 1 / n, SIZES, seeds=[3, 4], expected=-1.0, tolerance=0.02)
    order, *errors = study.records(graphon="tent")
    assert order["name"] == "order"
    assert (order["expected"], order["tolerance"], order["graphon"]) == (-1.0, 0.02, "tent")
    assert order["low"] <= order["value"] <= order["high"]
    assert len(errors) == 10
    assert errors[-1] == {"name": "error", "value": 1 / 1600, "n": 1600, "seed": 4, "graphon": "tent"}


def test_plots_onto_axes_and_into_files(tmp_path):
    from matplotlib.figure import Figure

    study = measure_convergence(lambda n, seed: {"a": 1 / n, "b": 1e-17}, SIZES, expected={"a": -1.0})
    axes = Figure().subplots()
    study.plot(axes, title="T")
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["a: -1.000 [-1.000, -1.000], theory -1", "b: exact"]
    study.plot(tmp_path / "study.png")
    assert (tmp_path / "study.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("error_at", "sizes", "seeds", "message"),
    [
        (lambda n, seed: 1.0, [1, 2], [0], "at least three distinct"),
        (lambda n, seed: 1.0, [1, 2, 2], [0], "at least three distinct"),
        (lambda n, seed: 1.0, [1, 2, 3], [], "seeds"),
        (lambda n, seed: float("nan") if n == 2 else 1.0, [1, 2, 3], [5], "at size 2, seed 5, found nan"),
        (lambda n, seed: {"x": -1.0}, [1, 2, 3], [0], "size 1, seed 0, part 'x', found -1"),
        (lambda n, seed: {"x": 1.0} if n < 3 else {"y": 1.0}, [1, 2, 3], [0], "the parts"),
    ],
)
def test_arguments_are_checked(error_at, sizes, seeds, message):
    with pytest.raises(ValueError, match=message):
        measure_convergence(error_at, sizes, seeds)
