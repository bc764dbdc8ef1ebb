"""`FactorisedFNO`: the Fourier neural operator one axis at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from opnet.core.expect import at_least, integers
from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.models.blocks.mlp import MLP
from opnet.models.blocks.spectral import SpectralConvolution, check_spectral
from opnet.models.grid_model import GridModel
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import close_ends, open_ends
from opnet.spaces.transforms import SpectralTransform


@register("model", "FactorisedFNO")
class FactorisedFNO(GridModel):
    """The factorised Fourier neural operator (F-FNO) on a box in one to three dimensions.

        v_0 = P (a, x),   v_{j+1} = v_j + M_j (sum_i T_i^-1 (R_ji . T_i v_j)),   u = Q(v_n)

    T_i takes the lowest modes on axis i alone, so that a layer's weights are a sum over the axes instead of a product:
    with m modes an axis about m^(d-1) times fewer than `FNO`'s, and layers are residual, so that many of them can be
    trained. Good for many layers and fine scales along the axes; a function of x + y needs several layers.

    Args:
        in_channels, out_channels: channels of a and u.
        modes: m for every axis, as in `FNO`.
        width: channels of v.
        layers: 4 to 24.
        basis, padding: as in `FNO`.
        mlp_width: hidden channels of M_j, one hidden layer with relu; None: twice the width.
        projection_width: hidden channels of Q, one hidden layer with relu.
        shared: one R_i for all layers.

    Ends of the box that "left" and "interior" nodes leave out are dealt with as in `FNO`.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs whose channels, dtype or grid do not fit, or a
            grid that does not resolve the modes.

    Source: Tran et al., Factorized Fourier Neural Operators, 2023, equations 5 to 7.

    >>> model = FactorisedFNO(1, 1, modes=(4, 4), width=8, layers=2)
    >>> model(torch.zeros(3, 1, 16, 20)).shape, model.n_parameters
    (torch.Size([3, 1, 16, 20]), 3921)
    """

    registered_name = "FactorisedFNO"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int] = (16, 16),
        width: int = 32,
        *,
        layers: int = 4,
        basis: str = "fourier",
        padding: float = 0.0,
        mlp_width: int | None = None,
        projection_width: int = 128,
        shared: bool = False,
    ) -> None:
        super().__init__()
        modes = integers("FactorisedFNO: modes", modes, "integers, one for each axis, such as (16, 16)")
        self.arguments = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "modes": list(modes),
            "width": width,
            "layers": layers,
            "basis": basis,
            "padding": padding,
            "mlp_width": 2 * width if mlp_width is None else mlp_width,
            "projection_width": projection_width,
            "shared": shared,
        }
        _check_arguments(self.arguments)
        self.in_channels, self.dim, self.modes, self.basis, self.padding = (
            in_channels,
            len(modes),
            modes,
            basis,
            padding,
        )
        self.lifting = nn.Linear(in_channels + len(modes), width)
        self.spectral = nn.ModuleList(
            nn.ModuleList(SpectralConvolution(width, (m,), basis) for m in modes)
            for _ in range(1 if shared else layers)
        )
        self.mlps = nn.ModuleList(MLP((width, self.arguments["mlp_width"], width), "relu") for _ in range(layers))
        self.projection = MLP((width, projection_width, out_channels), "relu")
        self._transforms: dict[tuple[Grid, torch.dtype, torch.device], list[SpectralTransform]] = {}

    def forward(self, inputs: Tensor, grid: Grid | None = None) -> Float[Tensor, "batch out *grid"]:
        """u for every a of the batch; without a grid, the nodes are cells of the unit box.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid)
        """
        grid = self.checked(inputs, grid)
        inputs, closed = close_ends(inputs, grid)
        transforms = self._axes(closed, inputs)
        x = closed.unit_coordinates(inputs.dtype, inputs.device)
        v = torch.cat([inputs, x.expand(len(inputs), *x.shape)], 1)
        v = self.lifting(v.movedim(1, -1))  # (batch, *grid, channel) from here on
        for layer, mlp in enumerate(self.mlps):
            convolutions = self.spectral[layer % len(self.spectral)].children()
            v = v + mlp(_sum_over_axes(v, convolutions, transforms))
        return open_ends(self.projection(v).movedim(-1, 1), grid).contiguous()

    def _axes(self, grid: Grid, like: Tensor) -> list[SpectralTransform]:
        key = (grid, like.dtype, like.device)
        if key not in self._transforms:
            self._transforms[key] = [
                SpectralTransform(
                    _one_axis(grid, axis), (m,), self.basis, padding=self.padding, dtype=like.dtype, device=like.device
                )
                for axis, m in enumerate(self.modes)
            ]
        return self._transforms[key]


def _sum_over_axes(v: Tensor, convolutions: Iterable[nn.Module], transforms: list[SpectralTransform]) -> Tensor:
    total = torch.zeros_like(v)
    for axis, (convolution, transform) in enumerate(zip(convolutions, transforms, strict=True)):
        # All other axes are a batch of lines along this one: (node, line, channel).
        front = total.movedim(1 + axis, 0)
        lines = v.movedim(1 + axis, 0).flatten(1, -2)
        added = convolution(lines, transform, add_to=front.flatten(1, -2))
        total = added.unflatten(1, front.shape[1:-1]).movedim(0, 1 + axis)
    return total


def _one_axis(grid: Grid, axis: int) -> Grid:
    return replace(
        grid,
        shape=(grid.shape[axis],),
        extent=(grid.extent[axis],),
        boundary=(grid.boundary[axis],),
        nodes=(grid.nodes[axis],),
    )


def _check_arguments(arguments: dict) -> None:
    for name in ("in_channels", "out_channels", "width", "layers", "mlp_width", "projection_width"):
        arguments[name] = at_least(f"FactorisedFNO: {name}", arguments[name])
    check_spectral("FactorisedFNO", arguments["modes"], arguments["basis"], arguments["padding"])
