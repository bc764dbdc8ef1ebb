"""Pictures of measured things, drawn on matplotlib axes that the caller gives.

matplotlib is imported only when something is drawn, and always without its global state.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from opnet.data.batch import Batch
from opnet.evaluation.records import Record
from opnet.graphs.graph import Graph
from opnet.spaces.grid import Grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

INK, MODEL, DATA, SECOND, OTHER = "#1b2733", "#1f6fb4", "#b3541e", "#4d8a57", "#7a8791"


def new_figure(rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (5.2, 4.0)) -> tuple[Figure, Any]:
    """A figure outside matplotlib's global state, and its axes as an array of shape (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def png(figure: Figure) -> str:
    """The figure as a data URI, for a self-contained page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def draw(plot: Callable[..., None], *arguments: Any, **options: Any) -> str:
    """One plot on a figure of its own, as a data URI."""
    figure, axes = new_figure()
    plot(axes[0, 0], *arguments, **options)
    return png(figure)


def plot_samples(inputs: Tensor, targets: Tensor, predictions: Tensor, grid: Grid, titles: Sequence[str]) -> str:
    """A row a sample: input, truth, prediction and error of the first channel, as a data URI.

    Truth and prediction share one colour scale; the error's is symmetric about zero and stands beside it.

    Args:
        inputs, targets, predictions: (sample, channel, n) or (sample, channel, n, m).
        titles: one a sample.
    """
    figure, axes = new_figure(len(titles), 4 if grid.dim == 2 else 2, size=(3.0, 2.6))
    for row, title in enumerate(titles):
        a, u, v = (np.asarray(field[row, 0].detach().cpu()) for field in (inputs, targets, predictions))
        if grid.dim == 2:
            _sample_2d(figure, axes[row], a, u, v, grid)
            axes[row, 0].set_ylabel(f"{title}\ny", color=INK)
        else:
            _sample_1d(axes[row], a, u, v, grid)
            axes[row, 0].set_ylabel(title, color=INK)
    both = ["input", "truth and prediction"]
    headings = ["input", "truth", "prediction", "prediction - truth"] if grid.dim == 2 else both
    for axis, heading in zip(axes[0], headings, strict=True):
        axis.set_title(heading, color=INK)
    return png(figure)


def _sample_2d(figure: Figure, axes: Any, a: Any, u: Any, v: Any, grid: Grid) -> None:
    from matplotlib.ticker import MaxNLocator

    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.06)  # type: ignore[union-attr, call-arg]
    (left, right), (bottom, top) = grid.extent
    error = v - u
    scale = float(np.abs(error).max()) or 1.0
    low, high = float(min(u.min(), v.min())), float(max(u.max(), v.max()))
    images: list[tuple[Any, dict[str, Any]]] = [
        (a, {"cmap": "cividis"}),
        (u, {"cmap": "viridis", "vmin": low, "vmax": high}),
        (v, {"cmap": "viridis", "vmin": low, "vmax": high}),
        (error, {"cmap": "RdBu_r", "vmin": -scale, "vmax": scale}),
    ]
    for axis, (field, options) in zip(axes, images, strict=True):
        # The first axis of a field is x, so it is drawn to the right.
        image = axis.imshow(field.T, origin="lower", extent=(left, right, bottom, top), **options)
        axis.set_xticks([left, right])
        axis.set_yticks([bottom, top])
        axis.set_xlabel("x", labelpad=-8)
        axis.tick_params(labelsize=8, labelleft=axis is axes[0])
        bar = figure.colorbar(image, ax=axis, shrink=0.8, ticks=MaxNLocator(4, steps=[1, 2, 5, 10]))
        bar.ax.tick_params(labelsize=8)
        bar.ax.yaxis.get_offset_text().set_fontsize(8)
        bar.formatter.set_powerlimits((-2, 3))  # type: ignore[attr-defined]


def _sample_1d(axes: Any, a: Any, u: Any, v: Any, grid: Grid) -> None:
    x = grid.axis(0).numpy()
    axes[0].plot(x, a, color=INK)
    axes[1].plot(x, u, color=INK, label="truth")
    axes[1].plot(x, v, color=MODEL, linestyle="--", label="prediction")
    for axis in axes:
        axis.set_xlabel("x")
        finish(axis)


def plot_node_signals(batch: Batch, predictions: Tensor) -> str:
    """A panel a sample of signals on nodes in [0, 1]: initial value, truth and prediction at the last time.

    Args:
        batch: on a `Graph` with positions.
        predictions: (sample, time, node, feature).
    """
    assert isinstance(batch.domain, Graph)
    assert batch.domain.positions is not None
    x = batch.domain.positions.numpy()
    figure, axes = new_figure(1, len(batch.inputs))
    for i, axis in enumerate(axes[0]):
        axis.plot(x, batch.inputs[i, :, 0], color="#9aa7b2", linewidth=1, label="initial value")
        axis.plot(x, batch.targets[i, -1, :, 0], color=INK, label="truth")
        axis.plot(x, predictions[i, -1, :, 0], color=MODEL, linestyle="--", label="prediction")
        axis.set_xlabel("position of the node")
        finish(axis)
    return png(figure)


def plot_history(axes: Axes, history: Sequence[dict[str, Any]], *, label: str = "training loss") -> None:
    """Loss against epoch, and a validation curve where there is one; scaled as by `scale_errors`."""
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) <= 10 else None  # a line through few points is little to see, through one nothing
    axes.plot(epochs, [row["loss"] for row in history], color=MODEL, marker=marker, label=label)
    validation = [(row["epoch"], row["validation"]) for row in history if row.get("validation") is not None]
    if validation:
        marker = "o" if len(validation) <= 10 else None
        axes.plot(*zip(*validation, strict=True), color=SECOND, marker=marker, label="validation")
    scale_errors(axes)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("epoch")
    finish(axes)


def plot_error_against_resolution(axes: Axes, records: Sequence[Record], metric: str) -> None:
    """Error of the model at each resolution with its 95 % interval; beside it those of baselines and the data's own.

    The model is that of the first record; others are baselines. Scaled as by `scale_errors`.

    Args:
        records: flat records; those named `metric` (native inference) and "discretisation_error" are drawn.
    """
    native = [r for r in records if r["name"] == metric and r.get("inference") == "native"]
    models = list(dict.fromkeys(r.get("model") for r in native))
    _errors(axes, [r for r in native if r.get("model") in models[:1]], MODEL, "model", "o")
    for name, marker in zip(models[1:], cycle("vDP*X"), strict=False):
        _errors(axes, [r for r in native if r.get("model") == name], OTHER, str(name), marker)
    other = [r for r in records if r["name"] == metric and r.get("inference") == "subsample_interpolate"]
    _errors(axes, other, SECOND, "subsampled, inferred, interpolated", "^")
    _errors(axes, [r for r in records if r["name"] == "discretisation_error"], DATA, "the data's own error", "s")
    sizes = sorted({r["resolution"][0] for r in records if "resolution" in r})
    axes.set_xscale("log", base=2)
    scale_errors(axes)
    axes.set_xticks(sizes, [f"{n}²" if len(records[0].get("resolution", [0, 0])) == 2 else str(n) for n in sizes])
    axes.set_xlabel("resolution")
    axes.set_ylabel("relative L2 error" if metric == "RelativeL2" else metric)
    finish(axes)


def _errors(axes: Axes, records: Sequence[Record], colour: str, label: str, marker: str) -> None:
    if not records:
        return
    records = sorted(records, key=lambda r: r["resolution"])
    x = [r["resolution"][0] for r in records]
    y = np.array([r["value"] for r in records])
    spread = np.array(
        [[r["value"] - r.get("low", r["value"]), r.get("high", r["value"]) - r["value"]] for r in records]
    )
    axes.errorbar(x, y, yerr=np.abs(spread.T), color=colour, marker=marker, capsize=3, label=label)


@contextmanager
def error_axes(
    target: Axes | str | Path, sizes: Sequence[float], size_name: str, title: str, label: str = "error"
) -> Iterator[Axes]:
    """Axes to draw errors against sizes on, finished on leaving: those given, or of a figure for the file given.

    The logarithmic x axis has ticks at the sizes that were measured, and nowhere else.
    """
    if isinstance(target, (str, Path)):
        figure, axes = new_figure()
        with error_axes(axes[0, 0], sizes, size_name, title, label):
            yield axes[0, 0]
        figure.savefig(target)
        return
    yield target
    target.set_xscale("log")
    target.set_xticks(list(sizes), [f"{size:g}" for size in sizes])
    target.set_xticks([], minor=True)
    target.set_xlabel(size_name)
    target.set_ylabel(label)
    target.set_title(title)
    finish(target)


def styles(count: int) -> list[dict[str, Any]]:
    """Line styles for so many curves, each seen even where curves coincide: every next one is narrower, with a smaller
    marker of another shape, and so leaves the one below it a rim."""
    palette, markers = [MODEL, DATA, SECOND, INK], "osD^"
    above = [min(count, 4) - 1 - i % 4 for i in range(count)]
    return [
        {
            "color": palette[i % 4],
            "marker": markers[i % 4],
            "linewidth": 1.2 + 0.8 * max(k, 0),
            "markersize": 4 + 1.7 * max(k, 0),
        }
        for i, k in enumerate(above)
    ]


def scale_errors(axes: Axes) -> None:
    """Make the y axis logarithmic where what is drawn spreads over a factor of 2 or more, else linear from zero.

    So a change of a few per cent is never blown up to fill the axis.
    """
    low, high = axes.dataLim.intervaly
    if 0 < low <= high / 2:
        axes.set_yscale("log")
    elif 0 <= low <= high:
        axes.set_ylim(0, 1.1 * high or 1)


def finish(axes: Axes) -> None:
    """The look all plots share; the legend, where there is one, stands below the axes and so never on the data."""
    axes.grid(True, which="major", color="#d9dee3", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        below = shifted(axes.transAxes, axes, 0, -30)
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below)


def shifted(transform: Transform, axes: Axes, right: float, up: float) -> Transform:
    """The transform followed by a shift in points, the same whatever the scale of the axes."""
    from matplotlib.transforms import ScaledTranslation

    return transform + ScaledTranslation(right / 72, up / 72, axes.figure.dpi_scale_trans)
