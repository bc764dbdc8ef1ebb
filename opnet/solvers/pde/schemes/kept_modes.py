"""`KeptModes`: transforms to and from the modes that products leave free of aliases."""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor

from opnet.solvers.pde.periodic_box import beyond, wave_numbers
from opnet.spaces.grid import Grid

KEPT = 2 / 3  # of the modes of an axis: products of two are then free of aliases


class KeptModes:
    """The modes of a periodic box with |j| < n / 3 on the last axis, all of them on the others.

    Fewer columns than `rfftn` has are transformed, and every product with modes is a third shorter.

    Attributes:
        k: angular wave numbers, one tensor an axis, that broadcast.
        mask: which are kept, with |j| < n / 3 on every axis.  # shape: (*modes)

    >>> from math import pi
    >>> modes = KeptModes(Grid((8, 12), boundary="periodic"))
    >>> x, y = modes.box.coordinates()
    >>> u = torch.cos(2 * pi * (x + 2 * y))
    >>> modes.mask.shape, torch.allclose(modes.values(modes.of(u)), u)
    (torch.Size([8, 4]), True)
    """

    def __init__(self, box: Grid, device: torch.device | str = "cpu") -> None:
        self.box = box
        self.columns = ceil(KEPT * box.shape[-1] / 2)
        self.k = [a[..., : self.columns] for a in wave_numbers(box, device)]
        cuts = [cut[..., : self.columns] for cut in beyond(box, KEPT, device)]
        self.mask = ~torch.stack(torch.broadcast_tensors(*cuts)).any(0)
        self.others = tuple(range(-box.dim, -1))

    def laid_out(self, multiplier: Tensor) -> Tensor:
        """A multiplier of modes, in memory as transforms leave those: by columns in two dimensions."""
        return multiplier.mT.contiguous().mT if self.box.dim == 2 else multiplier

    def of(self, values: Tensor) -> Tensor:
        """# shape: (..., *box) -> (..., *modes)"""
        modes = torch.fft.rfft(values)[..., : self.columns]
        return torch.fft.fftn(modes, dim=self.others) if self.others else modes.contiguous()

    def values(self, modes: Tensor) -> Tensor:
        """# shape: (..., *modes) -> (..., *box)"""
        if self.others:
            modes = torch.fft.ifftn(modes, dim=self.others)
        return torch.fft.irfft(modes, self.box.shape[-1])
