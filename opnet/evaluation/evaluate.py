"""`evaluate`: metrics of a model on a data set, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from opnet.core.errors import SolveError
from opnet.core.expect import expect
from opnet.core.status import Status
from opnet.data.batch import Batch, Dataset, Domain
from opnet.evaluation.intervals import mean_interval
from opnet.evaluation.metrics import Criterion, RelativeL2
from opnet.evaluation.predict import predict
from opnet.evaluation.records import Record, record
from opnet.models.base import own_tensor
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import sine_interpolate

INFERENCES = ("native", "subsample_interpolate")


@dataclass(frozen=True)
class Row:
    """One metric of one model on one data set.

    Attributes:
        metric: the metric's name.
        mean: over samples and channels.
        low, high: 95 % bootstrap interval of the mean over samples; None where there is one sample.
        per_sample: (sample,), in the order of the data set: compare models by differences of these.
        resolution: nodes an axis of the data, where the error was measured; of samples on several graphs, the nodes of
            each.
        inference: "native" or "subsample_interpolate".
        inferred_at: nodes an axis at which the model ran.
        unit: of the metric.
    """

    metric: str
    mean: float
    low: float | None
    high: float | None
    per_sample: Tensor
    resolution: tuple[int, ...]
    inference: str
    inferred_at: tuple[int, ...]
    unit: str

    def record(self, **labels: Any) -> Record:
        """The flat record of this row; `labels` say the rest, such as `model="FNO", seed=0, split="test"`."""
        if self.inference != "native":
            labels.setdefault("case", "inferred at " + "x".join(map(str, self.inferred_at)))
        return record(
            self.metric,
            self.mean,
            low=self.low,
            high=self.high,
            unit=self.unit,
            resolution=list(self.resolution),
            inference=self.inference,
            **labels,
        )


def evaluate(
    model: nn.Module,
    dataset: Dataset,
    metrics: Criterion | Sequence[Criterion] = (RelativeL2(),),  # noqa: B008  (frozen values)
    *,
    batch_size: int = 20,
    inference: str = "native",
    resolution: int | Sequence[int] | None = None,
) -> list[Row]:
    """Metrics of `model` on `dataset`, one row a metric.

    The model runs in evaluation mode, where it is and in its own precision, and is left in the mode it was in.

    Args:
        metrics: one or several.
        batch_size: samples predicted at a time; changes nothing but memory and time.
        inference: "native": the model runs on the data set's own domain; "subsample_interpolate": on every s-th node,
            its answer brought back by the sine sum through it, for functions that vanish on the boundary.
        resolution: for "subsample_interpolate", the nodes an axis to infer at.

    Raises:
        ValueError: for arguments of another kind, no metrics, an empty data set, an unknown inference, or a resolution
            that no stride of the grid gives.
        SolveError: naming the sample, when a prediction is not finite.
    """
    expect("evaluate: model", model, nn.Module, "a model")
    expect("evaluate: dataset", dataset, Dataset, "a Dataset such as ArrayDataset(inputs, targets, grid)")
    metrics = tuple(metrics) if isinstance(metrics, (list, tuple)) else (cast(Criterion, metrics),)
    for metric in metrics:
        expect("evaluate: metrics", metric, Criterion, "metrics such as RelativeL2()")
    if not metrics:
        raise ValueError("evaluate: metrics: expected at least one, found none")
    if inference not in INFERENCES:
        raise ValueError(f"inference: expected one of {', '.join(INFERENCES)}, found {inference!r}")
    if (resolution is None) != (inference == "native"):
        raise ValueError(f"resolution: expected with 'subsample_interpolate' and only there, found {resolution!r}")
    shape = _shape(dataset.domain)
    if resolution is None:
        ask, inferred_at = predict, shape
    else:
        grid = dataset.domain
        if not isinstance(grid, Grid):
            raise ValueError("inference: 'subsample_interpolate' expects data on a Grid, found a Graph")
        coarse = grid.resized(resolution)
        slices = _strides(grid, coarse)
        inferred_at = coarse.shape

        def ask(model: nn.Module, batch: Batch) -> Tensor:
            inputs, targets = batch.inputs[slices], batch.targets[slices]
            answer = predict(model, Batch(inputs, targets, coarse, batch.times, batch.index, batch.parameters))
            return sine_interpolate(answer, coarse, grid)

    rows = []
    for metric, values in zip(metrics, measure(model, dataset, metrics, batch_size=batch_size, ask=ask), strict=True):
        mean, low, high = mean_interval(values)
        rows.append(Row(metric.name, mean, low, high, values, shape, inference, inferred_at, metric.unit))
    return rows


def measure(
    model: nn.Module,
    dataset: Dataset,
    metrics: Sequence[Criterion],
    *,
    batch_size: int = 20,
    ask: Callable[[nn.Module, Batch], Tensor] = predict,
) -> list[Tensor]:
    """Each metric of each sample, its mean over channels, in float64: one tensor (sample,) a metric."""
    if len(dataset) == 0:
        raise ValueError("dataset: expected at least one sample, found none")
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
    own = own_tensor(model)
    values: list[list[Tensor]] = [[] for _ in metrics]
    with evaluating(model):
        for start in range(0, len(dataset), batch_size):
            batch = dataset.batch(range(start, min(start + batch_size, len(dataset))))
            # Targets keep their precision: the error is that of the prediction alone.
            prediction = ask(model, batch if own is None else batch.to(own.device, own.dtype))
            _check_finite(prediction, batch.domain, start)
            for metric, parts in zip(metrics, values, strict=True):
                parts.append(metric.of(prediction, batch.to(prediction.device)).double().mean(1).cpu())
    return [torch.cat(parts) for parts in values]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every module goes back to the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def _check_finite(prediction: Tensor, domain: Domain, start: int) -> None:
    parts = (prediction,) if isinstance(domain, Grid) else domain.split(prediction)
    finite = torch.cat([torch.isfinite(part).flatten(1).all(1) for part in parts])
    if not finite.all():
        sample = start + int(torch.nonzero(~finite)[0])
        message = f"evaluate: the prediction for sample {sample} of the data set is not finite"
        raise SolveError(message, status=Status.NON_FINITE, index=sample)


def _shape(domain: Domain) -> tuple[int, ...]:
    return domain.shape if isinstance(domain, Grid) else domain.sizes


def _strides(grid: Grid, coarse: Grid) -> tuple[slice, ...]:
    """The slices that take the nodes of `coarse` out of fields on `grid`."""
    slices = [slice(None), slice(None)]
    for axis, (n, m, nodes) in enumerate(zip(grid.intervals, coarse.intervals, grid.nodes, strict=True)):
        if set(grid.boundary[axis]) != {"dirichlet"}:
            raise ValueError(f"inference: sine interpolation expects a Dirichlet boundary, found {grid.boundary[axis]}")
        stride, rest = divmod(n, m)
        # Midpoints of coarse cells are midpoints of fine ones only for odd strides.
        if rest or stride < 1 or (nodes == "cell" and stride % 2 == 0):
            raise ValueError(
                f"resolution: expected what a stride leaves of {grid.shape[axis]} {nodes} nodes on axis {axis}, found "
                f"{coarse.shape[axis]}"
            )
        first = {"vertex": 0, "cell": stride // 2, "left": 0, "interior": stride - 1}[nodes]
        slices.append(slice(first, None, stride))
    return tuple(slices)
