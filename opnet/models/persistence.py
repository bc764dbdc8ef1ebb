"""`Persistence`: the answer that nothing changes."""

from __future__ import annotations

from torch import Tensor

from opnet.core.expect import at_least
from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.models.grid_model import GridModel
from opnet.spaces.grid import Grid


@register("model", "Persistence")
class Persistence(GridModel):
    """`u(t_1) = u(t_2) = ... = a_last`: the last frame of the input for every frame of the answer.

    Frames are channels one after the other, as `dataset.windows` has them. For maps without time this is the identity
    of a's last channels. Hard to beat over short steps; a forecast is worth what it gains on this.

    Args:
        in_channels, out_channels: channels of a and u.
        fields: channels of one frame.

    Raises:
        ValueError: for channels that are not whole frames; on a call, for inputs that do not fit.

    >>> import torch
    >>> Persistence(3, 2)(torch.tensor([[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]]))
    tensor([[[4., 5.], [4., 5.]]])
    """

    registered_name = "Persistence"
    trainable = False

    def __init__(self, in_channels: int, out_channels: int, fields: int = 1) -> None:
        super().__init__()
        self.in_channels = at_least("Persistence: in_channels", in_channels)
        self.out_channels = at_least("Persistence: out_channels", out_channels)
        self.fields = at_least("Persistence: fields", fields)
        if in_channels < fields or out_channels % fields:
            raise ValueError(
                f"Persistence: fields: expected at most in_channels {in_channels} and a divisor of out_channels "
                f"{out_channels}, found {fields}"
            )
        self.arguments = {"in_channels": in_channels, "out_channels": out_channels, "fields": fields}

    def forward(self, inputs: Tensor, grid: Grid | None = None) -> Float[Tensor, "batch out *grid"]:
        """The last frame of every sample, as often as asked.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid)
        """
        grid = self.checked(inputs, grid)
        return inputs[:, -self.fields :].repeat(1, self.out_channels // self.fields, *(1,) * grid.dim)
