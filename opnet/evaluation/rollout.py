"""Models fed with their own predictions: errors at every time, and how long predictions stay correlated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from opnet.core.expect import expect
from opnet.data.batch import Batch, Dataset
from opnet.data.windows import Rollouts
from opnet.evaluation.evaluate import evaluating
from opnet.evaluation.intervals import mean_interval
from opnet.evaluation.metrics import Metric, RelativeL2
from opnet.evaluation.predict import predict
from opnet.evaluation.records import Record, record
from opnet.models.base import own_tensor
from opnet.spaces.grid import Grid
from opnet.spaces.norms import l2_norm


def unrolled(model: nn.Module, batch: Batch) -> Tensor:
    """Predictions of the shape of `batch.targets`, the model fed with its own last ones until there are enough.

    Frames stand as channels, oldest first: from (batch, frames_in * channel, *grid) the model predicts the frames that
    follow, (batch, frames * channel, *grid), which are appended to its inputs while the oldest leave. Where one call
    gives all frames asked for this is `predict`.

    Args:
        model: an operator model on grids.
        batch: windows, or rollouts, whose targets are (batch, time, channel, *grid).

    Raises:
        ValueError: for a batch on a graph, or targets that are no whole number of predictions.
    """
    if not isinstance(batch.domain, Grid):
        raise ValueError(f"unrolled: expected a batch on a Grid, found a {type(batch.domain).__name__}")
    targets = batch.targets if batch.times is None else batch.targets.flatten(1, 2)
    window, wanted, parts = batch.inputs, targets.shape[1], [batch.inputs[:, :0]]
    while (missing := wanted - sum(part.shape[1] for part in parts)) > 0:
        step = model(window, batch.domain)
        # Windows do not say how many channels a frame has, but are cut to what the model predicts.
        frame = step.shape[1] if batch.times is None else batch.targets.shape[2]
        whole = batch.times is None or (step.shape[1] % frame == 0 and window.shape[1] % frame == 0)
        if missing % frame or not whole:
            raise ValueError(
                f"unrolled: expected frames of {frame} channels, found {window.shape[1]} channels in, {step.shape[1]} "
                f"predicted and {wanted} wanted"
            )
        parts.append(step[:, :missing])
        window = torch.cat([window, step], 1)[:, -window.shape[1] :]
    return torch.cat(parts, 1).reshape(batch.targets.shape)


@dataclass(frozen=True)
class Rollout:
    """How predictions depart from trajectories.

    Attributes:
        times: of the frames that were predicted, (time,); start: that of the last frame given.
        errors: metric's name -> (sample, time), means over channels; infinite from where a prediction is not finite.
        correlation: of prediction and target over space, mean over channels; (sample, time), 0 once not finite.
        units: of the metrics, by name.
        resolution: nodes an axis.
        protocol: how predictions were made, in a phrase that results carry.
    """

    times: Tensor
    start: float
    errors: dict[str, Tensor]
    correlation: Tensor
    units: dict[str, str]
    resolution: tuple[int, ...]
    protocol: str

    def correlation_times(self, threshold: float = 0.8) -> Tensor:
        """The time of the last frame up to which the correlation never was below the threshold, (sample,).

        `start` where the first frame is below it already, the last frame's where none is.

        Source: Kochkov et al., Machine learning-accelerated computational fluid dynamics, 2021, figure 4.
        """
        held = (self.correlation >= threshold).cumprod(1).sum(1)
        return torch.cat([self.times.new_tensor([self.start]), self.times])[held]

    def records(self, *, threshold: float = 0.8, **labels: object) -> list[Record]:
        """A flat record of each metric at each time, `case` saying which, and of the correlation time.

        Where predictions of some samples are not finite the metrics have no mean: in their place stands
        "share_not_finite", of the samples.
        """
        shared = {"resolution": list(self.resolution), "mode": self.protocol, **labels}
        rows = []
        for frame, time in enumerate(self.times.tolist()):
            case = f"t = {time:g}"
            for name, values in self.errors.items():
                at, finite = values[:, frame], torch.isfinite(values[:, frame])
                if finite.all():
                    mean, low, high = mean_interval(at)
                    rows.append(record(name, mean, low=low, high=high, unit=self.units[name], case=case, **shared))
                else:
                    share = float((~finite).double().mean())
                    rows.append(record("share_not_finite", share, of=name, unit="1", case=case, **shared))
        mean, low, high = mean_interval(self.correlation_times(threshold))
        case = f"correlation of at least {threshold:g}"
        rows.append(record("correlation_time", mean, low=low, high=high, unit="time", case=case, **shared))
        return rows


def evaluate_rollout(
    model: nn.Module,
    dataset: Dataset,
    metrics: Metric | Sequence[Metric] = (RelativeL2(),),  # noqa: B008  (frozen values)
    *,
    batch_size: int = 20,
) -> Rollout:
    """Predict trajectories step by step from their first frames, and measure every frame.

    The model runs in evaluation mode, where it is and in its own precision, and is left in the mode it was in. That a
    prediction is not finite, as happens to unstable models, is a result here and no error.

    Args:
        model: an operator model on grids from `frames_in` frames as channels to the one or more that follow.
        dataset: `trajectories.rollouts(frames_in)`.

    Raises:
        ValueError: for arguments of another kind, an empty data set, data on graphs, or channels that are no frames.

    >>> from opnet.data.batch import ArrayDataset
    >>> x, t = Grid((16,), boundary="periodic").axis(0), torch.arange(4.0)
    >>> u = torch.sin(2 * torch.pi * (x - t[:, None] / 16))[None, :, None]
    >>> data = ArrayDataset(u[:, 0], u, Grid((16,), boundary="periodic"), times=t)
    >>> class Shift(nn.Module):
    ...     def forward(self, inputs, grid):
    ...         return torch.roll(inputs, 1, -1)
    >>> rollout = evaluate_rollout(Shift(), data.rollouts())
    >>> bool(rollout.errors["RelativeL2"].max() < 1e-6), rollout.correlation_times().tolist(), rollout.protocol
    (True, [3.0], 'autoregressive: 1 frames in, 1 out at a time, 3 predicted')
    """
    expect("evaluate_rollout: model", model, nn.Module, "a model")
    if not isinstance(dataset, Rollouts):
        expected = "rollouts such as trajectories.rollouts(frames_in=1)"
        raise ValueError(f"evaluate_rollout: dataset: expected {expected}, found a {type(dataset).__name__}")
    metrics = tuple(metrics) if isinstance(metrics, (list, tuple)) else (cast(Metric, metrics),)
    for metric in metrics:
        expect("evaluate_rollout: metrics", metric, Metric, "metrics such as RelativeL2()")
    grid, times, start = dataset.grid, dataset.times, dataset.whole.times
    assert times is not None
    assert start is not None
    if len(dataset) == 0 or batch_size < 1:
        raise ValueError(
            f"evaluate_rollout: expected samples and a positive batch_size, found {len(dataset)} and {batch_size}"
        )
    own = own_tensor(model)
    errors: list[list[Tensor]] = [[] for _ in metrics]
    correlations, frames_out = [], 0
    with evaluating(model):
        for first in range(0, len(dataset), batch_size):
            batch = dataset.batch(range(first, min(first + batch_size, len(dataset))))
            asked = batch if own is None else batch.to(own.device, own.dtype)
            if first == 0:
                frames_out = predict(model, asked.take(torch.tensor([0]))).shape[1] // batch.targets.shape[2]
            prediction = unrolled(model, asked)
            pairs = list(zip(prediction.unbind(1), batch.targets.to(prediction.device).unbind(1), strict=True))
            finite = torch.isfinite(prediction).flatten(2).all(2).cumprod(1) > 0
            for metric, parts in zip(metrics, errors, strict=True):
                found = torch.stack([metric(u, v, grid).double().mean(1) for u, v in pairs], 1)
                parts.append(torch.where(finite, found, torch.inf).cpu())
            found = torch.stack([correlation(u, v, grid).double().mean(1) for u, v in pairs], 1)
            correlations.append(torch.where(finite, found, 0.0).cpu())
    return Rollout(
        times,
        float(start[dataset.frames_in - 1]),
        {metric.name: torch.cat(parts) for metric, parts in zip(metrics, errors, strict=True)},
        torch.cat(correlations),
        {metric.name: metric.unit for metric in metrics},
        grid.shape,
        f"autoregressive: {dataset.frames_in} frames in, {frames_out} out at a time, {len(times)} predicted",
    )


def correlation(prediction: Tensor, target: Tensor, grid: Grid) -> Tensor:
    """Pearson's correlation over space by the grid's quadrature; 0 where one of them is constant.

    # shape: (batch, channel, *grid) twice -> (batch, channel)
    """
    axes = tuple(range(-grid.dim, 0))
    weights = grid.weights(target.dtype, target.device)
    weights = weights / weights.sum()
    u, v = (w - (w * weights).sum(axes, keepdim=True) for w in (prediction.to(target.dtype), target))
    sizes = l2_norm(u, grid) * l2_norm(v, grid)
    product = (u * v * grid.weights(target.dtype, target.device)).sum(axes)
    return torch.where(sizes > 0, product / torch.where(sizes > 0, sizes, 1.0), 0.0)
