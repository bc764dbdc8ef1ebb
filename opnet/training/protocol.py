"""Training for rollouts: noise, and steps of the model's own before the one that is learned from."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from opnet.data.batch import Batch, Dataset
from opnet.evaluation.rollout import unrolled
from opnet.training.config import FitConfig


def check_protocol(config: FitConfig, dataset: Dataset) -> None:
    """Raise a `ValueError` for data that the noise or pushforward asked for is not for."""
    if not (config.noise or config.pushforward):
        return
    asked = f"FitConfig.{'pushforward' if config.pushforward else 'noise'}"
    if not dataset.domain_is_grid:
        raise ValueError(f"{asked}: expected data on a Grid, found data on graphs")
    if config.pushforward and dataset.times is not None:
        raise ValueError(f"{asked}: expected windows such as trajectories.windows(1, 2), found whole trajectories")


def protocol(config: FitConfig, dataset: Dataset) -> str:
    """How a model is trained in time, in a phrase that results carry.

    >>> from opnet.data.batch import ArrayDataset
    >>> from opnet.spaces.grid import Grid
    >>> u = torch.zeros(1, 4, 1, 8)
    >>> data = ArrayDataset(u[:, 0], u, Grid((8,), boundary="periodic"), times=torch.arange(4.0))
    >>> protocol(FitConfig(noise=0.01, pushforward=1), data.windows(1, 2))
    'frames [0] to [1, 2] of 2 starts a trajectory; pushforward 1; noise 0.01'
    >>> protocol(FitConfig(), data.windows(1, 1))
    'frames [0] to [1] of 3 starts a trajectory; teacher forcing'
    """
    windows = getattr(dataset, "description", None)
    parts = ["one-shot"] if windows is None else [windows]
    if config.pushforward:
        parts.append(f"pushforward {config.pushforward}")
    elif windows is not None:
        parts.append("teacher forcing")
    if config.noise:
        parts.append(f"noise {config.noise:g}")
    return "; ".join(parts)


def noisy(batch: Batch, noise: float) -> Batch:
    """Normal noise added to the inputs, `noise` times the root mean square of each sample's channel; from torch's
    global state."""
    axes = tuple(range(2, batch.inputs.ndim))
    size = batch.inputs.square().mean(axes, keepdim=True).sqrt()
    return replace(batch, inputs=batch.inputs + noise * size * torch.randn_like(batch.inputs))


def pushed_forward(model: nn.Module, batch: Batch, steps: int) -> Batch:
    """The batch after `steps` of the model's own, without gradients: its predictions among the inputs, and as targets
    the frames that follow.

    Targets hold `steps + 1` predictions, as channels.

    Raises:
        ValueError: for targets that do not.
    """
    each, rest = divmod(batch.targets.shape[1], steps + 1)
    if rest:
        raise ValueError(
            f"FitConfig.pushforward: expected targets of {steps + 1} predictions, one after the other as channels, "
            f"found {batch.targets.shape[1]} channels"
        )
    with torch.no_grad():
        own = unrolled(model, replace(batch, targets=batch.targets[:, : steps * each]))
    window = torch.cat([batch.inputs, own], 1)[:, -batch.inputs.shape[1] :]
    return replace(batch, inputs=window, targets=batch.targets[:, steps * each :])


def as_trained(model: nn.Module, batch: Batch, config: FitConfig) -> Batch:
    """The batch that a step learns from."""
    if config.noise:
        batch = noisy(batch, config.noise)
    return pushed_forward(model, batch, config.pushforward) if config.pushforward else batch
