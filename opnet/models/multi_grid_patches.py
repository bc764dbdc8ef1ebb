"""`MultiGridPatches`: an operator computed patch by patch, each seeing its surroundings ever more coarsely."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import integer, integers
from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.models.base import Model
from opnet.models.blocks.patches import Patches
from opnet.models.blocks.spread import spread_rows, sum_over
from opnet.models.grid_model import GridModel
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import FILLS


@register("model", "MultiGridPatches")
class MultiGridPatches(GridModel):
    """Multi-grid domain decomposition: `model` answers for every patch of the box, from the patch with a halo at full
    resolution and, as further channels, views of 2, 4, ... times the surroundings at as much of the resolution.

        u on part p = model(a_p^(0), a_p^(1), ..., a_p^(levels)) restricted to the part;  `Patches` says what a_p^(l) is

    With a `TFNO` inside this is MG-TFNO. Good for grids too large for one model or one device: the patches are a batch
    of one model, whose modes then resolve a patch instead of the box. Bad where far detail matters, and u may jump
    where parts meet by as much as the model errs: give it a halo.

    Args:
        model: a grid model, with `(channels of a + axes if positions) * (levels + 1)` channels in. It converges under
            refinement if this does.
        patches: parts of the box for each axis.
        levels: coarser views. Good: as many as show the whole box, log2 of the parts an axis.
        halo: width of the halo as a fraction of the patch's. Good: .25.
        fill: what lies beyond ends that are not periodic: the nearest value ("edge") or 0 ("zero").
        positions: append the coordinates in the box to a, since `model` knows only those in the patch. Not for
            operators that commute with shifts.

    The patches may be spread over processes: see `spread`.

    Raises:
        ValueError: for an argument out of range or a model whose channels do not fit; on a call, for inputs that do
            not fit, and grids that leave a part without nodes or a patch with too few for `model`.

    Source: Kossaifi et al., Multi-Grid Tensorized Fourier Neural Operator, 2023, section 3.1.

    >>> from opnet.models.tfno import TFNO
    >>> model = MultiGridPatches(TFNO((1 + 2) * 2, 1, modes=(4, 4), width=8, layers=2), patches=(2, 2))
    >>> model(torch.zeros(3, 1, 24, 20)).shape
    torch.Size([3, 1, 24, 20])
    """

    registered_name = "MultiGridPatches"
    traceable = False  # where the patches are cut is counted from the nodes

    def __init__(
        self,
        model: Model,
        patches: Sequence[int] = (2, 2),
        *,
        levels: int = 1,
        halo: float = 0.25,
        fill: str = "edge",
        positions: bool = True,
    ) -> None:
        super().__init__()
        patches = integers("MultiGridPatches: patches", patches, "integers, one for each axis, such as (2, 2)")
        levels = integer("MultiGridPatches: levels", levels)
        if not isinstance(model, GridModel):
            raise ValueError(
                f"MultiGridPatches: model: expected an operator model on grids, found {type(model).__name__}"
            )
        if len(patches) < 1 or min(patches) < 1 or model.dim not in (None, len(patches)):
            raise ValueError(
                f"MultiGridPatches: patches: expected a positive number for each of {model.dim or 'the'} axes, "
                f"found {patches}"
            )
        if levels < 0:
            raise ValueError(f"MultiGridPatches: levels: expected at least 0, found {levels}")
        if not 0 <= halo <= 1:
            raise ValueError(f"MultiGridPatches: halo: expected a fraction of the patch in [0, 1], found {halo}")
        if fill not in FILLS:
            raise ValueError(f"MultiGridPatches: fill: expected one of {', '.join(FILLS)}, found {fill!r}")
        appended = len(patches) if positions else 0
        channels = model.in_channels // (levels + 1) - appended
        if channels < 1 or (channels + appended) * (levels + 1) != model.in_channels:
            raise ValueError(
                f"MultiGridPatches: model: expected (c + {appended}) * {levels + 1} in_channels, of c channels "
                f"{'and the coordinates ' if positions else ''}in {levels + 1} views, found {model.in_channels}"
            )
        self.arguments = {
            "model": model,
            "patches": list(patches),
            "levels": levels,
            "halo": halo,
            "fill": fill,
            "positions": positions,
        }
        self.model, self.in_channels, self.dim, self.positions = model, channels, len(patches), positions
        self._cuts: dict[tuple[Grid, torch.dtype, torch.device], Patches] = {}
        self._group: tuple[Any] | None = None
        self._hooks: list[Any] = []

    def forward(self, inputs: Tensor, grid: Grid | None = None) -> Float[Tensor, "batch out *grid"]:
        """u for every a of the batch; without a grid, the nodes are cells of the unit box.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid)
        """
        grid = self.checked(inputs, grid)
        if self.positions:
            x = grid.unit_coordinates(inputs.dtype, inputs.device)
            inputs = torch.cat([inputs, x.expand(len(inputs), *x.shape)], 1)
        cut = self._cut(grid, inputs)
        rows = cut.split(inputs)
        answer = partial(self.model, grid=cut.patch)
        return cut.join(answer(rows) if self._group is None else spread_rows(answer, rows, self._group[0]))

    def spread(self, group: Any = None) -> MultiGridPatches:
        """This model, its patches from now on spread over the processes of a torch.distributed group (all of them).

        Every process calls the model with the same inputs and has the same outputs and, after `backward` of the same
        loss, the same gradients, each summed over the processes: the answer of one process to rounding, whatever their
        number. Weights have to be the same at first, and are then by the same steps. Copies and saved models are
        not spread.

        Raises:
            ValueError: before `torch.distributed.init_process_group`.
        """
        if not torch.distributed.is_initialized():
            raise ValueError("spread: expected an initialised torch.distributed process group, found none")
        for hook in self._hooks:
            hook.remove()
        self._group = (group,)
        self._hooks = [p.register_hook(sum_over(group)) for p in self.model.parameters()]
        return self

    def __getstate__(self) -> dict[str, Any]:
        # Of copies: groups cannot be copied, and hooks on parameters are not.
        return {**self.__dict__, "_group": None, "_hooks": []}

    def _cut(self, grid: Grid, like: Tensor) -> Patches:
        key = (grid, like.dtype, like.device)
        if key not in self._cuts:
            options = {name: self.arguments[name] for name in ("levels", "halo", "fill")}
            self._cuts[key] = Patches(grid, self.arguments["patches"], **options, dtype=like.dtype, device=like.device)
        return self._cuts[key]
