"""`NeuralOperatorFNO`: the Fourier neural operator in the form and with the weights of neuraloperator 2.0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from opnet.core.expect import at_least, integers
from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.models.blocks.factorised import Rank
from opnet.models.blocks.half_spectrum import HalfSpectrumWeight
from opnet.models.blocks.mlp import MLP
from opnet.models.blocks.skip import SKIPS, Skip
from opnet.models.blocks.spectral import SpectralConvolution
from opnet.models.grid_model import GridModel
from opnet.spaces.grid import Grid
from opnet.spaces.transforms import SpectralTransform


@register("model", "NeuralOperatorFNO")
class NeuralOperatorFNO(GridModel):
    """The Fourier neural operator with a channel MLP and gates in every layer, as neuraloperator 2.0 has it.

        v_0 = P(a, x),   w = gelu(T^-1 (R_j . T v_j) + S_j v_j + b_j),   v_{j+1} = gelu(M_j w + g_j v_j),   u = Q(v_n)

    (the last layer without both gelu; P, M_j and Q one hidden layer with gelu; without M_j both gelu are still there).
    For weights from there (`from_neuraloperator`) and comparisons with it; `FNO` is the smaller and faster form.

    On nodes x = i / n of a periodic box, an even number of them, this is neuraloperator's answer, and so it is on the
    "left" nodes of other boxes. On "cell" and "vertex" nodes coordinates and integrals are those of the nodes.

    Args:
        in_channels, out_channels: channels of a and u.
        n_modes: frequencies of both signs for every axis, as neuraloperator counts: -n / 2, ..., n / 2 - 1, and
            0, ..., n / 2 on the last.
        width: channels of v.
        layers: Fourier layers.
        lifting_width, projection_width: hidden channels of P (0: P is one affine map) and Q; None: twice the width.
        skip: S_j: "linear", "identity", "soft-gating" or None.
        mlp_width: hidden channels of M_j; 0: no M_j, and no gate; None: half the width.
        mlp_skip: g_j, as `skip`.
        positions: append the coordinates x to a.
        padding: v_0 is continued by 0 at both ends of an axis, by this fraction of its nodes: one for all or one for
            each axis.
        factorisation, rank: of R_j, as in `FNO`.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs whose channels, dtype or grid do not fit, or a
            grid that does not resolve the modes: more than n nodes an axis are needed.

    Source: Kossaifi et al., A Library for Learning Neural Operators, 2024; Kovachki et al., Neural Operator, 2023.

    >>> model = NeuralOperatorFNO(1, 1, n_modes=(8, 8), width=8, layers=2)
    >>> model(torch.zeros(3, 1, 16, 16)).shape
    torch.Size([3, 1, 16, 16])
    """

    registered_name = "NeuralOperatorFNO"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_modes: Sequence[int] = (16, 16),
        width: int = 32,
        *,
        layers: int = 4,
        lifting_width: int | None = None,
        projection_width: int | None = None,
        skip: str | None = "linear",
        mlp_width: int | None = None,
        mlp_skip: str | None = "soft-gating",
        positions: bool = True,
        padding: float | Sequence[float] = 0.0,
        factorisation: str | None = None,
        rank: Rank = 0.1,
    ) -> None:
        super().__init__()
        n_modes = integers("NeuralOperatorFNO: n_modes", n_modes, "integers, one for each axis, such as (16, 16)")
        self.arguments = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "n_modes": list(n_modes),
            "width": width,
            "layers": layers,
            "lifting_width": 2 * width if lifting_width is None else lifting_width,
            "projection_width": 2 * width if projection_width is None else projection_width,
            "skip": skip,
            "mlp_width": width // 2 if mlp_width is None else mlp_width,
            "mlp_skip": mlp_skip,
            "positions": positions,
            "padding": [padding] * len(n_modes) if isinstance(padding, (int, float)) else list(padding),
            "factorisation": factorisation,
            "rank": rank if isinstance(rank, (int, float)) else list(rank),
        }
        _check_arguments(self.arguments)
        self.in_channels, self.dim, self.positions = in_channels, len(n_modes), positions
        self.padding = self.arguments["padding"]
        channels = in_channels + (len(n_modes) if positions else 0)
        hidden = [self.arguments["lifting_width"]] if self.arguments["lifting_width"] else []
        self.lifting = MLP((channels, *hidden, width), "gelu")
        weights = [HalfSpectrumWeight(width, n_modes, factorisation, rank) for _ in range(layers)]
        self.modes = weights[0].modes
        self.spectral = nn.ModuleList(
            SpectralConvolution(width, self.modes, "fourier", weight=weight) for weight in weights
        )
        self.skips = nn.ModuleList(Skip(width, skip, bias=True) for _ in range(layers))
        if mlp_width := self.arguments["mlp_width"]:
            self.mlps = nn.ModuleList(MLP((width, mlp_width, width), "gelu") for _ in range(layers))
            self.mlp_skips = nn.ModuleList(Skip(width, mlp_skip) for _ in range(layers))
        self.projection = MLP((width, self.arguments["projection_width"], out_channels), "gelu")
        self._transforms: dict[tuple[Grid, torch.dtype, torch.device], SpectralTransform] = {}

    def forward(self, inputs: Tensor, grid: Grid | None = None) -> Float[Tensor, "batch out *grid"]:
        """u for every a of the batch; without a grid, the nodes are cells of the unit box.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid)
        """
        grid = self.checked(inputs, grid)
        if self.positions:
            x = grid.unit_coordinates(inputs.dtype, inputs.device)
            inputs = torch.cat([inputs, x.expand(len(inputs), *x.shape)], 1)
        # (*grid, batch, channel) from here on: see SpectralConvolution.
        v = self.lifting(inputs.movedim((0, 1), (-2, -1)).contiguous())
        counts = [round(fraction * n) for fraction, n in zip(self.padding, grid.shape, strict=True)]
        v = pad(v, [0, 0, 0, 0, *(count for count in reversed(counts) for _ in range(2))])
        transform = self._transform(_widened(grid, counts), v)
        for layer in range(len(self.spectral)):
            v = self._layer(layer, v, transform)
        for axis, count in enumerate(counts):
            v = v.narrow(axis, count, grid.shape[axis])
        return self.projection(v).movedim((-2, -1), (0, 1)).contiguous()

    def _layer(self, layer: int, v: Tensor, transform: SpectralTransform) -> Tensor:
        w = self.spectral[layer](v, transform, add_to=self.skips[layer](v))
        last = layer + 1 == len(self.spectral)
        w = w if last else gelu(w)
        if self.arguments["mlp_width"]:
            w = self.mlps[layer](w) + self.mlp_skips[layer](v)
        return w if last else gelu(w)

    def _transform(self, grid: Grid, like: Tensor) -> SpectralTransform:
        key = (grid, like.dtype, like.device)
        if key not in self._transforms:
            self._transforms[key] = SpectralTransform(grid, self.modes, dtype=like.dtype, device=like.device)
        return self._transforms[key]


def _widened(grid: Grid, counts: Sequence[int]) -> Grid:
    """The grid with so many nodes more at both ends of each axis, which is then periodic."""
    if not any(counts):
        return grid
    axes = range(grid.dim)
    shape = tuple(grid.shape[i] + 2 * counts[i] for i in axes)
    return replace(
        grid,
        shape=shape,
        extent=tuple((0.0, shape[i] * grid.spacing[i]) if counts[i] else grid.extent[i] for i in axes),
        boundary=tuple("periodic" if counts[i] else grid.boundary[i] for i in axes),
        nodes=tuple("left" if counts[i] else grid.nodes[i] for i in axes),
    )


def _check_arguments(arguments: dict) -> None:
    least = {"lifting_width": 0, "mlp_width": 0}
    for name in ("in_channels", "out_channels", "width", "layers", "projection_width", *least):
        arguments[name] = at_least(f"NeuralOperatorFNO: {name}", arguments[name], least.get(name, 1))
    n_modes, padding = arguments["n_modes"], arguments["padding"]
    if not 1 <= len(n_modes) <= 3 or min(n_modes) < 1:
        raise ValueError(
            f"NeuralOperatorFNO: n_modes: expected one to three positive numbers, one for each axis, found {n_modes}"
        )
    if len(padding) != len(n_modes) or not all(fraction >= 0 for fraction in padding):
        raise ValueError(
            f"NeuralOperatorFNO: padding: expected fractions, none negative, one for each axis, found {padding}"
        )
    for name in ("skip", "mlp_skip"):
        if arguments[name] not in SKIPS:
            raise ValueError(
                f"NeuralOperatorFNO: {name}: expected one of {', '.join(map(str, SKIPS))}, found {arguments[name]!r}"
            )
