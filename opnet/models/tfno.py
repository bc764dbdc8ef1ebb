"""`TFNO`: the tensorised Fourier neural operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opnet.core.registry import register
from opnet.models.blocks.factorised import Rank
from opnet.models.fno import FNO


@register("model", "TFNO")
class TFNO(FNO):
    """`FNO` whose spectral weights are held in factors, a tenth of the parameters by Tucker's unless said otherwise.

    Good for few samples, since the factors regularise (on 1000 of Darcy flow at 16^2 neuraloperator's TFNO comes to
    .077 where its FNO has .093), for transfer to finer grids, and for many modes, whose dense weights are large.
    Bad for short training, in which `FNO` comes further, and where making the weights costs: see `FactorisedWeight`.

    Args:
        factorisation: "tucker", "cp" or "tt".
        rank, joint, and all others: as of `FNO`.

    Source: Kossaifi et al., Multi-Grid Tensorized Fourier Neural Operator, 2023, section 3.2.

    >>> import torch
    >>> model = TFNO(1, 1, modes=(4, 4), width=8, layers=2)
    >>> model(torch.zeros(3, 1, 16, 16)).shape, FNO(1, 1, modes=(4, 4), width=8, layers=2).n_parameters
    (torch.Size([3, 1, 16, 16]), 8625)
    >>> model.n_parameters
    2213
    """

    registered_name = "TFNO"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int] = (12, 12),
        width: int = 32,
        *,
        factorisation: str | None = "tucker",
        rank: Rank = 0.1,
        **options: Any,
    ) -> None:
        if factorisation is None:
            raise ValueError("TFNO: factorisation: expected tucker, cp or tt, found None: that is FNO")
        super().__init__(in_channels, out_channels, modes, width, factorisation=factorisation, rank=rank, **options)
