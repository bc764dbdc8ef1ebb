"""Training for rollouts: noise, and steps of the model's own before the one that is learned from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

import torch
from torch import nn

from opnet.core.expect import integer
from opnet.data.batch import Batch, Dataset
from opnet.evaluation.rollout import unrolled


@dataclass(frozen=True)
class RolloutTraining:
    """What `fit` does for models that will be fed with their own predictions; by default nothing: teacher forcing.

    Args:
        noise: standard deviation of normal noise added to the inputs, as a share of the root mean square of each
            sample's channel: the model learns to correct errors. Good: .001 to .03.
        pushforward: on windows of trajectories, steps of the model's own, without gradient, before the one that is
            learned from: targets hold `pushforward + 1` predictions, as channels, of which the last counts, and the
            model learns from inputs distributed as its own predictions are. Good: 1, after some epochs without.

    Good where errors that build up are what fails; both cost accuracy of the first step, and a pushforward of k the
    time of k evaluations.

    Raises:
        ValueError: for a noise or number of steps below 0.

    Source: noise: Sanchez-Gonzalez et al., Learning to Simulate Complex Physics with Graph Networks, 2020, section 3.4;
    pushforward: Brandstetter, Worrall and Welling, Message Passing Neural PDE Solvers, 2022, section 3.1.

    >>> from opnet.data.batch import ArrayDataset
    >>> from opnet.spaces.grid import Grid
    >>> u = torch.zeros(1, 4, 1, 8)
    >>> data = ArrayDataset(u[:, 0], u, Grid((8,), boundary="periodic"), times=torch.arange(4.0))
    >>> RolloutTraining(noise=0.01, pushforward=1).protocol(data.windows(1, 2))
    'frames [0] to [1, 2] of 2 starts a trajectory; pushforward 1; noise 0.01'
    >>> RolloutTraining().protocol(data.windows(1, 1))
    'frames [0] to [1] of 3 starts a trajectory; teacher forcing'
    """

    noise: float = 0.0
    pushforward: int = 0

    def __post_init__(self) -> None:
        expected = "an integer of at least 0"
        object.__setattr__(self, "pushforward", integer("RolloutTraining.pushforward", self.pushforward, expected))
        if self.pushforward < 0:
            raise ValueError(f"RolloutTraining.pushforward: expected {expected}, found {self.pushforward}")
        if not 0 <= self.noise < inf:
            raise ValueError(f"RolloutTraining.noise: expected a number of at least 0, found {self.noise}")

    def check(self, dataset: Dataset) -> None:
        """Raise a `ValueError` for data that this is not for."""
        if not (self.noise or self.pushforward):
            return
        if not dataset.domain_is_grid:
            raise ValueError("fit: rollouts: expected data on a Grid, found data on graphs")
        if self.pushforward and dataset.times is not None:
            raise ValueError("fit: rollouts: expected windows such as trajectories.windows(1, 2), found trajectories")

    def protocol(self, dataset: Dataset) -> str:
        """How a model is trained in time, in a phrase that results carry."""
        windows = getattr(dataset, "description", None)
        parts = ["one-shot"] if windows is None else [windows]
        if self.pushforward:
            parts.append(f"pushforward {self.pushforward}")
        elif windows is not None:
            parts.append("teacher forcing")
        if self.noise:
            parts.append(f"noise {self.noise:g}")
        return "; ".join(parts)

    def prepared(self, model: nn.Module, batch: Batch) -> Batch:
        """The batch that a step learns from."""
        if self.noise:
            batch = noisy(batch, self.noise)
        return pushed_forward(model, batch, self.pushforward) if self.pushforward else batch


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
            f"pushforward: expected targets of {steps + 1} predictions, one after the other as channels, "
            f"found {batch.targets.shape[1]} channels"
        )
    with torch.no_grad():
        own = unrolled(model, replace(batch, targets=batch.targets[:, : steps * each]))
    window = torch.cat([batch.inputs, own], 1)[:, -batch.inputs.shape[1] :]
    return replace(batch, inputs=window, targets=batch.targets[:, steps * each :])
