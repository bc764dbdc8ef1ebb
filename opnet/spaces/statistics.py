"""Per-channel statistics of a set of functions."""

from __future__ import annotations

from collections.abc import Iterable
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
        return cls.of_batches([values], center=center)

    @classmethod
    def of_batches(cls, batches: Iterable[Tensor], *, center: bool = True) -> ChannelStatistics:
        """The same of values that come in batches, each read once.

        Means and sums of squared deviations are joined pairwise (T. F. Chan, G. H. Golub and R. J. LeVeque, *The
        American Statistician* 37 (1983), eqs. (2.1)), which loses no digits where the mean is large.
        """
        count, mean, squares = 0, torch.zeros(()), torch.zeros(())
        for values in batches:
            channels = values.to(torch.float64).transpose(0, 1).reshape(values.shape[1], -1)
            more, here = channels.shape[1], channels.mean(1) if center else torch.zeros(len(channels)).double()
            apart = here - mean
            squares = squares + (channels - here[:, None]).square().sum(1) + apart**2 * count * more / (count + more)
            mean, count = mean + apart * (more / (count + more)), count + more
        if not count:
            raise ValueError("ChannelStatistics.of_batches: expected at least one sample, found none")
        scale = (squares / count).sqrt()
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        return cls(tuple(mean.tolist()), tuple(scale.tolist()))
