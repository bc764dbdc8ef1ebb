import base64

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from opnet.evaluation.plots import plot_error_against_resolution, plot_history, plot_samples, scale_errors, styles
from opnet.spaces.grid import Grid


@pytest.fixture
def axes():
    return Figure(layout="constrained").subplots()


def errors(values):
    return [
        {
            "name": "RelativeL2",
            "value": v,
            "low": 0.97 * v,
            "high": 1.03 * v,
            "resolution": [n, n],
            "inference": "native",
        }
        for n, v in zip((32, 64, 128), values, strict=True)
    ]


@pytest.mark.parametrize(
    ("values", "scale"),
    [([0.38, 0.40, 0.42], "linear"), ([0.1, 0.2, 0.4], "log"), ([0.3], "linear"), ([0.0, 1.0], "linear")],
)
def test_errors_are_drawn_on_a_scale_that_does_not_blow_them_up(axes, values, scale):
    axes.plot(values)
    scale_errors(axes)
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    assert low <= min(values)
    assert high >= max(values)
    if scale == "linear":
        assert low == 0


def test_error_against_resolution_covers_a_factor_of_two_with_its_legend_below(axes):
    plot_error_against_resolution(axes, errors([0.38, 0.40, 0.42]), "RelativeL2")
    axes.figure.draw_without_rendering()
    low, high = axes.get_ylim()
    assert high >= 2 * low
    assert axes.get_ylabel() == "relative L2 error"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["32²", "64²", "128²"]
    assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0
    data_error = [{"name": "discretisation_error", "value": 1e-3, "resolution": [32, 32]}]
    other = Figure().subplots()
    plot_error_against_resolution(other, [*errors([0.38, 0.40, 0.42]), *data_error], "RelativeL2")
    assert other.get_yscale() == "log"


@pytest.mark.parametrize(("epochs", "marker"), [(1, "o"), (100, "None")])
def test_a_history_of_few_epochs_is_seen(axes, epochs, marker):
    plot_history(axes, [{"epoch": i + 1, "loss": 0.9**i, "validation": 0.95**i} for i in range(epochs)])
    assert [line.get_marker() for line in axes.lines] == [marker, marker]
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_curves_that_coincide_are_told_apart():
    first, second, third, fourth = styles(4)
    assert len({style["marker"] for style in (first, second, third, fourth)}) == 4
    assert first["linewidth"] > second["linewidth"] > third["linewidth"] > fourth["linewidth"]
    assert first["markersize"] > second["markersize"] > third["markersize"] > fourth["markersize"]
    assert styles(1) == [fourth | {"color": first["color"], "marker": first["marker"]}]
    assert len(styles(9)) == 9


def picture(uri):
    head, data = uri.split(",")
    assert head == "data:image/png;base64"
    return base64.b64decode(data)


def test_samples_of_both_dimensions_are_drawn_with_their_axes_named(monkeypatch):
    figures = []
    savefig = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), savefig(self, *a, **k))[1])
    for grid in (Grid((8,), ((0, 1),)), Grid((8, 8), ((0, 2), (0, 1)))):
        u = torch.linspace(0, 1, 2 * int(np.prod(grid.shape))).reshape(2, 1, *grid.shape)
        assert picture(plot_samples(u, u, 1.1 * u, grid, ["first", "second"])).startswith(b"\x89PNG")
    line, field = figures
    panels = [a for a in field.axes if a.get_label() != "<colorbar>"]
    assert [a.get_title() for a in panels[:4]] == ["input", "truth", "prediction", "prediction - truth"]
    assert {a.get_xlabel() for a in panels} == {"x"}
    assert [panels[0].get_ylabel(), panels[4].get_ylabel()] == ["first\ny", "second\ny"]
    # The first axis of the field, twice as long, is drawn to the right.
    assert (panels[0].get_xlim(), panels[0].get_ylim()) == ((0, 2), (0, 1))
    assert [a.get_title() for a in line.axes[:2]] == ["input", "truth and prediction"]
    assert {a.get_xlabel() for a in line.axes} == {"x"}
    # No tick label of a colour bar reaches into the next panel or over the edge.
    field.draw_without_rendering()
    for bar in (a for a in field.axes if a.get_label() == "<colorbar>"):
        box = bar.get_tightbbox()
        assert box.x1 < field.bbox.x1
        assert not any(box.overlaps(a.get_window_extent()) for a in panels)
