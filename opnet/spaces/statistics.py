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
        channels = values.to(torch.float64).transpose(0, 1).reshape(values.shape[1], -1)
        shift = channels.mean(1) if center else torch.zeros(len(channels), dtype=torch.float64)
        scale = (channels - shift[:, None]).square().mean(1).sqrt()
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        return cls(tuple(shift.tolist()), tuple(scale.tolist()))
