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
    assert legend == ["a: -1.000 [-1.000, -1.000], theory -1", "b: exact", "slope of theory"]
    assert axes.get_ylim()[0] > 1e-4  # the exact part is not drawn
    study.plot(tmp_path / "study.png")
    assert (tmp_path / "study.png").stat().st_size > 1000


def drawn(study):
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    axes = figure.subplots()
    study.plot(axes)
    figure.draw_without_rendering()
    return axes


def test_the_legend_does_not_lie_on_the_data_and_every_seed_is_within_the_axes():
    spread = [0.1, 1.0, 30.0]
    axes = drawn(measure_convergence(lambda n, seed: spread[seed] / n, SIZES, range(3), expected=-1.0))
    assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0
    low, high = axes.get_ylim()
    assert low < 0.1 / 1600
    assert high > 30.0 / 100


def test_the_slope_of_theory_stands_close_above_its_own_curve():
    axes = drawn(measure_convergence(lambda n, seed: {"a": 1 / n, "b": 5 * n**-0.5}, SIZES, expected={"b": -0.5}))
    (segment,) = [line for line in axes.lines if line.get_linestyle() == "--" and len(line.get_xdata())]
    x, y = (np.array(v, float) for v in segment.get_data())
    assert np.log(y[1] / y[0]) / np.log(x[1] / x[0]) == pytest.approx(-0.5)
    assert y == pytest.approx(5 * x**-0.5)
    assert x[1] / x[0] < 2
    shift = segment.get_transform().transform((x[0], y[0])) - axes.transData.transform((x[0], y[0]))
    assert shift == pytest.approx([0, 7 / 72 * axes.figure.dpi])


def test_seeds_have_the_colour_of_their_part():
    axes = drawn(measure_convergence(lambda n, seed: {"a": 1 / n, "b": 1 / n}, SIZES, [0, 1]))
    dots = [line.get_color() for line in axes.lines if line.get_marker() == "."]
    a, b = (line.get_color() for line in axes.lines if not line.get_label().startswith("_"))
    assert a != b
    assert dots == [a, a, b, b]


def test_an_interval_wider_than_one_is_no_order():
    wobble = dict(zip(SIZES, [1.0, 9.0, 0.5, 7.0, 0.3], strict=True))
    study = measure_convergence(lambda n, seed: wobble[n] / n, SIZES, seeds=[0], expected=EXACT)
    assert study.interval[1] - study.interval[0] > 1
    (entry,) = drawn(study).get_legend().get_texts()
    assert entry.get_text() == "order not resolved, theory exact"


def test_sizes_with_no_error_are_left_out_of_the_picture():
    axes = drawn(measure_convergence(lambda n, seed: 0.0 if n > 400 else 1 / n, SIZES, [0]))
    assert axes.get_ylim()[0] > 1e-4


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
