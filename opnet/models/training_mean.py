"""`TrainingMean`: the answer that knows the training targets and nothing of the input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from opnet.core.expect import at_least
from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.models.blocks.stored_functions import StoredFunctions, described
from opnet.models.grid_model import GridModel
from opnet.spaces.grid import Grid


@register("model", "TrainingMean")
class TrainingMean(GridModel):
    """`u = 1/N sum_i u_i`, the mean of the training targets, whatever a: what any model has to beat.

    The constant of least mean square error; on other grids it is interpolated (multilinear).

    Args:
        in_channels, out_channels: channels of a and u.
        grid: description of the grid the mean sits on, of a model that was adapted; None before.

    Raises:
        ValueError: for channels below 1; on a call, for inputs that do not fit, or before `adapt`.

    >>> import torch
    >>> model, grid = TrainingMean(1, 1), Grid((3,), nodes="cell")
    >>> model.adapt(torch.zeros(2, 1, 3), torch.tensor([[[1.0, 2.0, 3.0]], [[3.0, 4.0, 5.0]]]), grid)
    >>> model(torch.zeros(1, 1, 3), grid)
    tensor([[[2., 3., 4.]]])
    """

    registered_name = "TrainingMean"
    trainable = False
    needs_data = True

    def __init__(self, in_channels: int, out_channels: int, *, grid: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.in_channels = at_least("TrainingMean: in_channels", in_channels)
        self.out_channels = at_least("TrainingMean: out_channels", out_channels)
        self.mean = StoredFunctions("TrainingMean", 1, out_channels, grid)
        self.arguments = {"in_channels": in_channels, "out_channels": out_channels}
        self._sits_on(self.mean.grid)

    def adapt(self, inputs: Tensor, targets: Tensor, grid: Grid) -> None:
        """Take the mean of training targets.

        Raises:
            ValueError: for channels other than the model's, or no samples.
        """
        if targets.ndim < 2 or targets.shape[1] != self.out_channels or not len(targets):
            raise ValueError(
                f"TrainingMean: targets: expected samples of {self.out_channels} channels, found {tuple(targets.shape)}"
            )
        self.mean.hold(targets.double().mean(0, keepdim=True).to(targets.dtype), grid)
        self._sits_on(grid)

    def forward(self, inputs: Tensor, grid: Grid | None = None) -> Float[Tensor, "batch out *grid"]:
        """The mean for every a of the batch; without a grid, the nodes are cells of the unit box.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid)
        """
        grid = self.checked(inputs, grid)
        return self.mean.at(grid).repeat(len(inputs), *(1,) * (1 + grid.dim))

    def _sits_on(self, grid: Grid | None) -> None:
        self.arguments["grid"] = described(grid)
        self.dim = None if grid is None else grid.dim
