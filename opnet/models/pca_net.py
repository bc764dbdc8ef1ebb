"""`PCANet`: a network between the coordinates of inputs and outputs in the bases that fit the training data best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import at_least, integers
from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.models.blocks.mlp import MLP
from opnet.models.blocks.stored_functions import StoredFunctions, described
from opnet.models.grid_model import GridModel
from opnet.spaces.grid import Grid
from opnet.spaces.pod import pod, project


@register("model", "PCANet")
class PCANet(GridModel):
    """PCA-Net: an MLP from the leading coordinates of a to those of u.

        c_k = <a - mean_a, phi_k> / sigma_k,   d = MLP(c),   u = mean_u + sum_l d_l tau_l psi_l

    phi and psi are the modes of the training inputs and targets in the grid's quadrature (`pod`), sigma and tau their
    root mean squares, so that the MLP sees numbers of order one. `adapt(inputs, targets, grid)` finds them in the
    training data, before training; they are buffers. On other grids modes are interpolated (multilinear) and c are
    those of the best approximation to a there.

    Good: ranks that hold 99 % of the data's mean square (some tens), hidden layers of some hundreds, weight decay.
    Good at maps between smooth functions with few samples, and cheap: the cost hardly depends on the grid. Bad where
    inputs need many modes, as coefficients that jump do, and no better than the span of the training targets.

    Args:
        in_channels, out_channels: channels of a and u.
        input_rank, output_rank: numbers of modes.
        hidden: entries of the MLP's hidden layers.
        activation: of the MLP; see `MLP`.
        grid: description of the grid the bases sit on, of a model that was adapted; None before.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs that do not fit, a grid of fewer values than
            modes, or before `adapt`.

    Source: K. Bhattacharya, B. Hosseini, N. Kovachki and A. Stuart, Model reduction and neural networks for parametric
    PDEs, arXiv:2005.03180, section 2.2.

    >>> model, grid = PCANet(1, 1, 2, 2, hidden=(8,)), Grid((16,), nodes="cell")
    >>> model.adapt(torch.randn(5, 1, 16), torch.randn(5, 1, 16), grid)
    >>> model(torch.zeros(3, 1, 16), grid).shape, model(torch.zeros(3, 1, 40)).shape
    (torch.Size([3, 1, 16]), torch.Size([3, 1, 40]))
    """

    input_scale: Tensor
    output_scale: Tensor

    registered_name = "PCANet"
    needs_data = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_rank: int = 64,
        output_rank: int = 32,
        *,
        hidden: Sequence[int] = (256, 256),
        activation: str = "gelu",
        grid: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        hidden = integers("PCANet: hidden", hidden, "positive integers, one a hidden layer")
        self.in_channels = at_least("PCANet: in_channels", in_channels)
        self.out_channels = at_least("PCANet: out_channels", out_channels)
        self.input_rank = at_least("PCANet: input_rank", input_rank)
        self.output_rank = at_least("PCANet: output_rank", output_rank)
        if min(hidden, default=1) < 1:
            raise ValueError(f"PCANet: hidden: expected positive integers, found {hidden}")
        # The mean first, then the modes.
        self.inputs = StoredFunctions("PCANet", 1 + input_rank, in_channels, grid)
        self.outputs = StoredFunctions("PCANet", 1 + output_rank, out_channels, grid)
        self.register_buffer("input_scale", torch.ones(input_rank))
        self.register_buffer("output_scale", torch.ones(output_rank))
        self.network = MLP((input_rank, *hidden, output_rank), activation)
        self.arguments = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "input_rank": input_rank,
            "output_rank": output_rank,
            "hidden": list(hidden),
            "activation": activation,
        }
        self._sits_on(self.inputs.grid)

    def adapt(self, inputs: Tensor, targets: Tensor, grid: Grid) -> None:
        """Take the bases of training data.

        # shape: (sample, in_channels, *grid), (sample, out_channels, *grid)

        Raises:
            ValueError: for channels other than the model's, or ranks beyond what the data span.
        """
        like = next(self.parameters())
        for which, values, rank, channels in (
            ("input", inputs, self.input_rank, self.in_channels),
            ("output", targets, self.output_rank, self.out_channels),
        ):
            if values.shape[1] != channels:
                raise ValueError(f"PCANet: {which} data: expected {channels} channels, found {values.shape[1]}")
            try:
                basis = pod(values, grid, rank)
            except ValueError as error:
                raise ValueError(f"PCANet: {which}_{error}") from error
            getattr(self, f"{which}s").hold(torch.cat([basis.mean[None], basis.modes]).to(like), grid)
            setattr(self, f"{which}_scale", basis.singular_values.to(like))
        self._sits_on(grid)

    def forward(self, inputs: Tensor, grid: Grid | None = None) -> Float[Tensor, "batch out *grid"]:
        """u for every a of the batch; without a grid, the nodes are cells of the unit box.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid)
        """
        grid = self.checked(inputs, grid)
        functions = self.inputs.at(grid)
        c = project(inputs, functions[0], functions[1:], grid) / self.input_scale
        functions = self.outputs.at(grid)
        return functions[0] + torch.tensordot(self.network(c) * self.output_scale, functions[1:], dims=1)

    def _sits_on(self, grid: Grid | None) -> None:
        self.arguments["grid"] = described(grid)
        self.dim = None if grid is None else grid.dim
