"""`FNO`: the Fourier neural operator, with Fourier, cosine or sine layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import pi

import torch
from torch import Tensor, nn

from opnet.core.expect import at_least, integers
from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.models.blocks.chunked_layers import two_layers
from opnet.models.blocks.factorised import FACTORISATIONS, FactorisedWeight, Rank
from opnet.models.blocks.fourier_layer import fourier_layer
from opnet.models.blocks.spectral import SpectralConvolution, check_spectral, weight_modes
from opnet.models.grid_model import GridModel
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import close_ends, open_ends
from opnet.spaces.transforms import SpectralTransform


@register("model", "FNO")
class FNO(GridModel):
    """The Fourier neural operator on a box in one to three dimensions.

        v_0 = P (a, coordinates),   v_{j+1} = gelu(W_j v_j + b_j + T^-1 (R_j . T v_j)),   u = Q(v_n)

    (the last layer without gelu; Q one hidden layer with gelu). T takes the lowest modes of a basis by quadrature on
    the grid at hand and by its coordinates, so that the same weights mean the same operator at every resolution and
    node placement that resolves the modes. R_j mixes channels mode by mode.

    Args:
        in_channels, out_channels: channels of a and u.
        modes: m for every axis: frequencies |k| < m for "fourier", 0 <= k < m for "cosine", 1 <= k <= m for "sine".
        width: channels of v.
        layers: spectral layers.
        basis: "fourier" for periodic axes, and others with padding; "cosine" (the even extension) or "sine" (the odd
            one) for axes that are not periodic, at half the weights and without padding. Good: "cosine".
        padding: for "fourier", on axes that are not periodic: the box is extended by this fraction of its length, by
            zero in every layer.
        projection_width: hidden channels of Q.
        symmetric: make the operator commute with the reflections of the box and, as one weight serves modes that
            swapping axes exchanges, with all symmetries of the square or cube. For a basis other than "fourier", equal
            modes and a cube.
        zero_boundary: multiply u by `prod_i 4 x_i (1 - x_i)`, for solutions that vanish on the boundary.
        factorisation: "tucker", "cp" or "tt": R_j is held in factors (see `FactorisedWeight`), which regularises: good
            for few samples, and for many modes. None: R_j itself. Good: "tucker".
        rank: of the factorisation: a share of R_j's numbers, or integers. Good: .05 to .5.
        joint: one factorisation for all layers together, "layer" being an axis as the modes and channels are.

    Layers and projection have derivatives written by hand (`fourier_layer`, `two_layers`), and automatic ones for
    second derivatives, `torch.func`, autocast, `torch.compile` and `torch.export`. Under autocast the mixing of modes
    stays in the weights' precision, which is single or double.

    At ends of the box that "left" and "interior" nodes leave out (not on periodic axes) the nearest value of `a` is
    repeated first: without it the quadrature, and with it the operator, would move by half a spacing.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs whose channels, dtype or grid do not fit, or a
            grid that does not resolve the modes.

    Good for: smooth solutions, periodic or with `basis`; few samples of a low resolution. Bad for: shocks and details
    beyond the modes, complicated domains.

    Source: Li et al., Fourier Neural Operator for Parametric Partial Differential Equations, 2021, equations 2 and 4.

    >>> model = FNO(1, 1, modes=(4, 4), width=8, layers=2)
    >>> model(torch.zeros(3, 1, 16, 16)).shape, model(torch.zeros(3, 1, 20, 16)).shape
    (torch.Size([3, 1, 16, 16]), torch.Size([3, 1, 20, 16]))
    >>> model(torch.zeros(3, 1, 4, 4))
    Traceback (most recent call last):
    ValueError: modes: expected 1 to 2 on axis 0, the most that 4 cell nodes resolve in the fourier basis, found 4
    """

    registered_name = "FNO"
    half_precision = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int] = (12, 12),
        width: int = 32,
        *,
        layers: int = 4,
        basis: str = "fourier",
        padding: float = 0.0,
        projection_width: int = 128,
        symmetric: bool = False,
        zero_boundary: bool = False,
        factorisation: str | None = None,
        rank: Rank = 0.1,
        joint: bool = False,
    ) -> None:
        super().__init__()
        modes = integers("FNO: modes", modes, "integers, one for each axis, such as (12, 12)")
        self.arguments = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "modes": list(modes),
            "width": width,
            "layers": layers,
            "basis": basis,
            "padding": padding,
            "projection_width": projection_width,
            "symmetric": symmetric,
            "zero_boundary": zero_boundary,
            "factorisation": factorisation,
            "rank": rank if isinstance(rank, (int, float, str)) else list(rank),
            "joint": joint,
        }
        _check_arguments(self.arguments)
        self.in_channels, self.dim, self.modes, self.basis, self.padding = (
            in_channels,
            len(modes),
            modes,
            basis,
            padding,
        )
        self.symmetric, self.zero_boundary = symmetric, zero_boundary
        self.lifting = nn.Linear(in_channels + (2 if symmetric else len(self.modes)), width)
        self.spectral = nn.ModuleList(
            SpectralConvolution(width, self.modes, basis, symmetric=symmetric, weight=weight)
            for weight in self._weights()
        )
        self.pointwise = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.projection = nn.Sequential(
            nn.Linear(width, projection_width), nn.GELU(), nn.Linear(projection_width, out_channels)
        )
        self._transforms: dict[tuple[Grid, torch.dtype, torch.device], SpectralTransform] = {}

    def forward(self, inputs: Tensor, grid: Grid | None = None) -> Float[Tensor, "batch out *grid"]:
        """u for every a of the batch; without a grid, the nodes are cells of the unit box.

        # shape: (batch, in_channels, *grid) -> (batch, out_channels, *grid)
        """
        grid = self.checked(inputs, grid)
        if inputs.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"FNO: weights: expected float32 or float64 (autocast for less), found {inputs.dtype}")
        inputs, closed = close_ends(inputs, grid)
        transform = self._transform(closed, inputs)
        x = closed.unit_coordinates(inputs.dtype, inputs.device)
        features = _symmetric_features(x) if self.symmetric else x
        v = torch.cat([inputs, features.expand(len(inputs), *features.shape)], 1)
        # (*grid, batch, channel) from here on: see SpectralConvolution.
        v = self.lifting(v.movedim((0, 1), (-2, -1)).contiguous())
        for layer, (spectral, pointwise) in enumerate(zip(self.spectral, self.pointwise, strict=True)):
            assert isinstance(spectral, SpectralConvolution)
            v = fourier_layer(v, spectral.dense_weight(), *_map(pointwise), transform, activate=layer > 0)
        hidden, _, out = self.projection
        u = two_layers(v, *_map(hidden), *_map(out)).movedim((-2, -1), (0, 1))
        if self.zero_boundary:
            u = u * (4 * x * (1 - x)).prod(0)
        return open_ends(u, grid).contiguous()

    def _weights(self) -> Sequence[Callable[[], Tensor] | None]:
        """What makes the weight of each spectral layer; None where the layer has its own."""
        layers, width, basis, factorisation, rank = (
            self.arguments[name] for name in ("layers", "width", "basis", "factorisation", "rank")
        )
        if factorisation is None:
            return [None] * layers
        shape = (*weight_modes(self.modes, basis, self.symmetric), width, width)
        options = {"parts": 2 if basis == "fourier" else 1, "variance": 1 / width}
        if not self.arguments["joint"]:
            return [FactorisedWeight(shape, factorisation, rank, **options) for _ in range(layers)]
        self.joint = FactorisedWeight((layers, *shape), factorisation, rank, **options)
        # A partial is no module, so that the factors are listed once.
        return [partial(self.joint, layer) for layer in range(layers)]

    def with_modes(self, modes: Sequence[int]) -> FNO:
        """The same function with other modes: weights of the modes that both have are kept, those of new ones are 0.

        For training with few modes first, which settles the large scales and costs less: fit, widen, fit on.

        Args:
            modes: as in `FNO`.

        Raises:
            ValueError: for modes out of range or of other axes, and a model with a factorisation, whose factors no
                further mode leaves as they are.

        Source: George et al., Incremental Spatial and Spectral Learning of Neural Operators, 2022, section 4.

        >>> model = FNO(1, 1, modes=(2, 2), width=4, layers=1)
        >>> wide, a = model.with_modes((4, 3)), torch.randn(1, 1, 8, 8)
        >>> wide.modes, torch.allclose(wide(a), model(a), atol=1e-6)
        ((4, 3), True)
        """
        modes = integers("FNO: modes", modes, "integers, one for each axis, such as (12, 12)")
        if len(modes) != self.dim:
            raise ValueError(f"FNO: modes: expected {self.dim}, one for each axis, found {modes}")
        if self.arguments["factorisation"] is not None:
            raise ValueError(
                f"FNO: with_modes: expected a model without factorisation, found {self.arguments['factorisation']!r}"
            )
        other = type(self)(**{**self.arguments, "modes": list(modes)})
        other.to(self.lifting.weight).train(self.training)
        state = self.state_dict()
        for layer, (spectral, source) in enumerate(zip(other.spectral, self.spectral, strict=True)):
            assert isinstance(spectral, SpectralConvolution)
            assert isinstance(source, SpectralConvolution)
            state[f"spectral.{layer}.weight"] = spectral.weight_from(source)
        other.load_state_dict(state)
        return other

    def _transform(self, grid: Grid, like: Tensor) -> SpectralTransform:
        key = (grid, like.dtype, like.device)
        if key not in self._transforms:
            self._transforms[key] = SpectralTransform(
                grid, self.modes, self.basis, padding=self.padding, dtype=like.dtype, device=like.device
            )
        return self._transforms[key]


def _map(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias."""
    assert isinstance(layer, nn.Linear)
    return layer.weight, layer.bias


def _symmetric_features(x: Tensor) -> Tensor:
    """Two functions of the position that no symmetry of the cube changes."""
    waves = torch.sin(pi * x)
    return torch.stack([waves.mean(0), waves.prod(0)])


def _check_arguments(arguments: dict) -> None:
    for name in ("in_channels", "out_channels", "width", "layers", "projection_width"):
        arguments[name] = at_least(f"FNO: {name}", arguments[name])
    modes, basis = arguments["modes"], arguments["basis"]
    check_spectral("FNO", modes, basis, arguments["padding"])
    if arguments["factorisation"] not in (None, *FACTORISATIONS):
        raise ValueError(
            f"FNO: factorisation: expected one of {', '.join(FACTORISATIONS)} or None, "
            f"found {arguments['factorisation']!r}"
        )
    for name, unused in (("rank", 0.1), ("joint", False)):
        if arguments["factorisation"] is None and arguments[name] != unused:
            raise ValueError(f"FNO: {name}: expected a factorisation with it, found none")
    if arguments["symmetric"] and (basis == "fourier" or len(set(modes)) > 1):
        raise ValueError(f"FNO: symmetric: expected the cosine or sine basis and equal modes, found {basis!r}, {modes}")
