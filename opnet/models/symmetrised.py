"""`Symmetrised`: an operator averaged over the symmetries of the square."""

from __future__ import annotations

from torch import Tensor

from opnet.core.registry import register
from opnet.models.base import Model
from opnet.spaces.grid import Grid
from opnet.spaces.symmetry import N_ELEMENTS, check_square, dihedral, inverse


@register("model", "Symmetrised")
class Symmetrised(Model):
    """`u = 1/8 sum_g g^-1 model(g a)`: commutes with the eight symmetries of the square, whatever `model` does.

    For problems with these symmetries whose solutions vanish on the boundary, or on grids without missing nodes: where
    a reflection of "left" nodes lacks a value, `a` is continued by the nearest one and `u` by 0.

    The average is taken in evaluation mode; in training mode this is `model` itself, to be trained on augmented data
    (`FitConfig(augmentation="dihedral")`), which costs an eighth and has the same expectation.

    Args:
        model: an operator model on grids of two axes.

    Raises:
        ValueError: on a call, when the grid is not a square.

    >>> import torch
    >>> from opnet.models.fno import FNO
    >>> model = Symmetrised(FNO(1, 1, modes=(2, 2), width=4, layers=1)).eval()
    >>> a = torch.randn(1, 1, 8, 8)
    >>> torch.allclose(model(a.flip(2)), model(a).flip(2), atol=1e-6)
    True
    """

    domain = "grid"
    registered_name = "Symmetrised"

    def __init__(self, model: Model) -> None:
        super().__init__()
        if getattr(model, "domain", None) != "grid":
            raise ValueError(f"Symmetrised: model: expected an operator model on grids, found {type(model).__name__}")
        self.arguments = {"model": model}
        self.model = model

    def forward(self, inputs: Tensor, grid: Grid | None = None) -> Tensor:
        """The average, or in training mode the model's own answer."""
        grid = grid or Grid(tuple(inputs.shape[2:]), nodes="cell")
        check_square(grid)
        if self.training:
            return self.model(inputs, grid)
        outputs = (
            dihedral(self.model(dihedral(inputs, grid, g, "edge"), grid), grid, inverse(g), "zero")
            for g in range(N_ELEMENTS)
        )
        return sum(outputs, start=inputs.new_zeros(())) / N_ELEMENTS

    def adapt(self, inputs: Tensor, targets: Tensor, grid: Grid) -> None:
        """Let the model inside adapt to the data."""
        self.model.adapt(inputs, targets, grid)
