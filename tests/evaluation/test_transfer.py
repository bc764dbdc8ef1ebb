import numpy as np
import pytest

from opnet.evaluation.transfer import measure_transfer


def law(C, rate, floor, noise=0.0):
    generator = np.random.default_rng(0)
    return lambda n1, n2, seed: (C * (n1**-rate + n2**-rate) + floor) * np.exp(noise * generator.normal())


def study(law, train=(25, 50, 100), test=(50, 200, 800, 3200), seeds=(0, 1)):
    return measure_transfer(
        lambda n, seed: (n, seed),
        lambda model, n, seed: {"graph": law(model[0], n, seed), "limit": 2 * law(model[0], n, seed)},
        train,
        test,
        seeds,
    )


@pytest.mark.parametrize(("rate", "floor"), [(0.5, 1e-3), (1.0, 1e-2), (2.0, 1e-6)])
def test_finds_the_law(rate, floor):
    fit = study(law(1.0, rate, floor)).fit("graph")
    assert fit.rate == pytest.approx(rate, rel=1e-3)
    assert fit.floor == pytest.approx(floor, rel=1e-2)
    assert fit.misfit < 1e-6
    assert fit(50, 200) == pytest.approx(law(1.0, rate, floor)(50, 200, 0), rel=1e-4)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_no_law_is_fitted_where_sizes_do_not_matter(noise):
    result = study(law(0.0, 1.0, 0.05, noise=noise), seeds=range(5))
    assert result.fit("graph") is None
    assert {r["name"] for r in result.records()} == {"transfer_error", "zero_shot_over_retrained"}


def test_no_law_is_fitted_to_errors_that_grow():
    assert study(lambda n1, n2, seed: n2**0.2).fit("graph") is None


def test_a_law_is_found_under_noise():
    fit = study(law(1.0, 1.0, 0.01, noise=0.05), seeds=range(5)).fit("graph")
    assert fit.rate == pytest.approx(1.0, abs=0.3)
    assert fit(100, 3200) == pytest.approx(law(1.0, 1.0, 0.01)(100, 3200, 0), rel=0.1)


def test_a_floor_of_each_training_size_is_found():
    def error(n1, n2, seed):
        return 2 * (1 / n1 + 1 / n2) + 0.3 / n1**0.5

    result = study(error, train=(25, 100, 400))
    fit = result.fit("graph", floor_of_each=True)
    assert fit.rate == pytest.approx(1.0, rel=1e-3)
    assert fit.floors == pytest.approx({25: 0.06, 100: 0.03, 400: 0.015}, rel=1e-2)
    assert fit.misfit < 1e-6 < result.fit("graph").misfit


def test_retrained_models_are_what_zero_shot_is_held_to():
    ratios = study(lambda n1, n2, seed: n1**-0.5, train=(25, 100), test=(100, 400)).zero_shot("graph")
    assert ratios == {(25, 100): pytest.approx(2.0)}


def test_matrix_and_records():
    result = study(law(1.0, 1.0, 0.01))
    assert result.matrix("graph").shape == (3, 4)
    assert result.matrix("graph")[1, 2] == pytest.approx(1 / 50 + 1 / 800 + 0.01)
    rows = result.records(graphon="tent")
    entries = [r for r in rows if r["name"] == "transfer_error" and r["part"] == "limit"]
    assert len(entries) == 12
    assert {"case": "n_train=25", "n": 50, "graphon": "tent"}.items() <= entries[0].items()
    assert [r["name"] for r in rows if r["part"] == "graph"][-4:] == [
        "transfer_C",
        "transfer_rate",
        "transfer_floor",
        "transfer_misfit",
    ]


def test_each_seed_trains_once_a_size():
    trained = []
    measure_transfer(lambda n, seed: trained.append((n, seed)), lambda m, n, seed: 1.0, [10, 20], [1, 2, 3], [0, 1])
    assert trained == [(10, 0), (10, 1), (20, 0), (20, 1)]


def test_too_few_entries_are_not_fitted_and_bad_errors_refused():
    result = measure_transfer(lambda n, seed: n, lambda m, n, seed: 1 / n, [10], [10, 20], [0])
    assert result.fit() is None
    with pytest.raises(ValueError, match="at size 20, seed 0, found inf"):
        measure_transfer(lambda n, seed: n, lambda m, n, seed: float("inf"), [10], [20], [0])
    with pytest.raises(ValueError, match="expected sizes"):
        measure_transfer(lambda n, seed: n, lambda m, n, seed: 1.0, [], [20], [0])


def test_plots(tmp_path):
    study(law(1.0, 1.0, 0.01)).plot(tmp_path / "transfer.png", part="graph", title="tent")
    assert (tmp_path / "transfer.png").stat().st_size > 1000


@pytest.mark.parametrize(("floor", "scale"), [(0.17, "linear"), (1e-3, "log")])
def test_a_change_of_a_few_per_cent_does_not_fill_the_axis(floor, scale):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    study(law(0.1, 1.0, floor)).plot(axes, part="graph", label="relative L2")
    assert axes.get_yscale() == scale
    assert axes.get_ylabel() == "relative L2"
    assert (axes.get_ylim()[0] == 0) == (scale == "linear")
