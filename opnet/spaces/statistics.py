"""Per-channel statistics of a set of functions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ChannelStatistics:
    """Shift and scale of each channel, `(x - shift) / scale` being of order one; independent of the resolution.

    >>> ChannelStatistics.of(torch.tensor([[[1.0, 3.0]]]))
    ChannelStatistics(shift=(2.0,), scale=(1.0,))
    >>> ChannelStatistics.of(torch.tensor([[[3.0, 4.0]]]), center=False).scale
    (3.535...,)
    """

    shift: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def of(cls, values: Tensor, *, center: bool = True) -> ChannelStatistics:
        """Statistics of `values` (sample, channel, *grid); without centring the scale is the root mean square.

        Outputs that vanish on a boundary are scaled without centring, so that zero stays zero.

        Raises:
            ValueError: for no values, which have no statistics.
        """
        if values.numel() == 0:
            raise ValueError(f"ChannelStatistics.of: expected at least one sample, found shape {tuple(values.shape)}")
        running = RunningStatistics(center=center)
        running.add(values)
        return running.result()


class RunningStatistics:
    """Statistics of values that come in batches; see `ChannelStatistics.of`.

    Means and sums of squared deviations are joined pairwise (T. F. Chan, G. H. Golub and R. J. LeVeque, *The American
    Statistician* 37 (1983), eqs. (2.1)), which loses no digits where the mean is large.

    >>> running = RunningStatistics()
    >>> for values in (torch.tensor([[[1.0]]]), torch.tensor([[[3.0]]])):
    ...     running.add(values)
    >>> running.result()
    ChannelStatistics(shift=(2.0,), scale=(1.0,))
    """

    def __init__(self, *, center: bool = True) -> None:
        self.center = center
        self._count, self._mean, self._squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Take in `values` (sample, channel, *grid)."""
        channels = values.to(torch.float64).transpose(0, 1).reshape(values.shape[1], -1)
        count, more = self._count, channels.shape[1]
        here = channels.mean(1) if self.center else channels.new_zeros(len(channels))
        apart = here - self._mean
        self._squares = self._squares + (channels - here[:, None]).square().sum(1)
        self._squares = self._squares + apart**2 * count * more / (count + more)
        self._mean, self._count = self._mean + apart * (more / (count + more)), count + more

    def result(self) -> ChannelStatistics:
        """Of all values so far; `ValueError` before the first."""
        if not self._count:
            raise ValueError("RunningStatistics.result: expected at least one sample, found none")
        scale = (self._squares / self._count).sqrt()
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        return ChannelStatistics(tuple(self._mean.tolist()), tuple(scale.tolist()))
