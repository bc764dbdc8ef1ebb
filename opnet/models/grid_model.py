"""`GridModel`: what operator models on grids have in common."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from opnet.models.base import Model, own_tensor
from opnet.spaces.grid import Grid


class GridModel(Model):
    """`u = G(a)` for functions on a grid: `forward(inputs, grid=None)`; without a grid the nodes are cells of the unit
    box.

    Attributes:
        discretisation_invariant: whether the same weights mean one operator, which outputs approach as the grid is
            refined; False where they are bound to a spacing.
        trainable: whether there are parameters to learn by gradients; False for baselines that take all they know from
            `adapt`, or know nothing.
        sees_lengths: whether outputs depend on the lengths of the box, as solutions of an equation do; where False the
            box is scaled to the unit box.
        half_precision: whether outputs and gradients under `torch.autocast` to bfloat16 are those of float32 to a few
            per cent.
        traceable: whether `torch.compile(fullgraph=True)` and `torch.export` take it.
        in_channels: channels of a.
        dim: axes of the grid; None: any.
    """

    domain = "grid"
    discretisation_invariant: bool = True
    trainable: ClassVar[bool] = True
    sees_lengths: ClassVar[bool] = False
    half_precision: ClassVar[bool] = False
    traceable: ClassVar[bool] = True
    in_channels: int
    dim: int | None = None

    def checked(self, inputs: Tensor, grid: Grid | None) -> Grid:
        """The grid `inputs` lie on.

        Raises:
            ValueError: for inputs whose channels, axes, dtype or grid do not fit, and an empty batch.
        """
        axes = inputs.ndim - 2
        wanted = "" if self.dim is None else f" with {self.dim} grid axes"
        if axes < 1 or axes != (self.dim or axes) or inputs.shape[1] != self.in_channels or len(inputs) < 1:
            raise ValueError(
                f"inputs: expected (batch, {self.in_channels}, *grid){wanted}, found {tuple(inputs.shape)}"
            )
        own = own_tensor(self)
        if own is None and not inputs.is_floating_point():
            raise ValueError(f"inputs: expected floating-point values, found {inputs.dtype}")
        if own is not None and inputs.dtype != own.dtype:
            raise ValueError(f"inputs: expected {own.dtype}, the model's dtype, found {inputs.dtype}")
        if grid is None:
            return Grid(tuple(inputs.shape[2:]), nodes="cell")
        if tuple(inputs.shape[2:]) != grid.shape:
            raise ValueError(f"inputs: expected {grid.shape} nodes, the grid's, found {tuple(inputs.shape[2:])}")
        return grid
