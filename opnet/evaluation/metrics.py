"""Metrics: how far a prediction is from its target, one number a sample and channel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import Field, dataclass, fields, is_dataclass
from math import prod
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor
from torch.linalg import vector_norm

from opnet.core.registry import register
from opnet.core.typing import Float
from opnet.data.batch import Batch, Domain
from opnet.spaces.grid import Grid
from opnet.spaces.norms import DERIVATIVES, h1_norm, l2_norm, lp_norm

M = TypeVar("M", bound="type[Metric]")


def register_metric(name: str) -> Callable[[M], M]:
    """Enter a metric under its name, and as a loss: a loss is a metric's mean over samples and channels."""
    return lambda metric: register("loss", name)(register("metric", name)(metric))


class Criterion(ABC):
    """What training minimises and evaluation reports: numbers (batch, channel) of a prediction for a batch.

    Metrics compare the prediction with the targets alone; other criteria may read the inputs, such as `PDEResidual`.

    Attributes:
        unit: "1" for relative ones, else in words.
    """

    unit: ClassVar[str]

    @abstractmethod
    def of(self, prediction: Tensor, batch: Batch) -> Float[Tensor, "batch channel"]:
        """The numbers of a prediction for `batch.inputs`, unreduced; small is good."""

    @property
    def name(self) -> str:
        """The name records carry: the class, and what was chosen other than by default."""
        choices: tuple[Field[Any], ...] = fields(self) if is_dataclass(self) else ()
        values = [(choice.name, getattr(self, choice.name), choice.default) for choice in choices]
        values = [(key, value, default) for key, value, default in values if value != default]
        chosen = ", ".join(f"{key}={type(v).__name__ if is_dataclass(v) else v}" for key, v, _ in values)
        return type(self).__name__ + (f"({chosen})" if chosen else "")


class Metric(Criterion):
    """`metric(prediction, target, domain) -> (batch, channel)`, unreduced.

    Fields are (batch, channel, *grid) on a `Grid`; signals (batch, node, feature) and trajectories
    (batch, time, node, feature) on a `Graph`, features taking the place of channels. Integrals are the grid's
    quadrature; on a graph, means over the nodes, and on a batch of graphs (`batch_graphs`) over those of each, which
    stand for the batch. Metrics are functions of functions: refining the grid converges.

    Raises:
        ValueError: unless prediction and target have equal shapes, that of the domain, and floating dtypes; from
            relative metrics, for a target that vanishes.
    """

    def of(self, prediction: Tensor, batch: Batch) -> Tensor:
        return self(prediction, batch.targets, batch.domain)

    def __call__(self, prediction: Tensor, target: Tensor, domain: Domain) -> Float[Tensor, "batch channel"]:
        self.check(prediction, target, domain)
        # Half precision overflows when squared.
        dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
        return self.measure(prediction.to(dtype), target.to(dtype), domain)

    @abstractmethod
    def measure(self, prediction: Tensor, target: Tensor, domain: Domain) -> Tensor:
        """The metric of arguments that have been checked."""

    def check(self, prediction: Tensor, target: Tensor, domain: Domain) -> None:
        """Raise the `ValueError` of arguments that do not fit."""
        if prediction.shape != target.shape:
            raise ValueError(
                f"{self.name}: expected prediction and target of one shape, found {tuple(prediction.shape)} and "
                f"{tuple(target.shape)}"
            )
        if not (prediction.is_floating_point() and target.is_floating_point()):
            raise ValueError(
                f"{self.name}: expected prediction and target of floating dtype, found {prediction.dtype} and "
                f"{target.dtype}"
            )
        shape = tuple(target.shape)
        if isinstance(domain, Grid):
            if shape[2:] != domain.shape:
                wanted = ", ".join(map(str, domain.shape))
                raise ValueError(f"{self.name}: expected (batch, channel, {wanted}) on the grid, found {shape}")
        elif len(shape) not in (3, 4) or shape[-2] != domain.n:
            raise ValueError(f"{self.name}: expected (batch, [time,] {domain.n}, feature) on the graph, found {shape}")


@register_metric("RelativeL2")
@dataclass(frozen=True)
class RelativeL2(Metric):
    """`||u - v|| / ||v||` in L2, of prediction u and target v.

    A trajectory on a graph is measured in the norm that `time` names, its times counting equally: "mean" is the root
    mean square over time (what a loss wants: every time pulls), "max" the supremum `max_t ||u - v|| / max_t ||v||`
    (what theorems bound).

    >>> grid = Grid((4, 4), nodes="cell")
    >>> RelativeL2()(torch.full((1, 1, 4, 4), 1.1), torch.ones(1, 1, 4, 4), grid)
    tensor([[0.1000]])
    """

    time: str = "mean"
    unit: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        _check_time(self)

    def measure(self, prediction: Tensor, target: Tensor, domain: Domain) -> Tensor:
        return ratio(self, _l2(prediction - target, domain, self.time), _l2(target, domain, self.time))


@register_metric("RelativeH1")
@dataclass(frozen=True)
class RelativeH1(Metric):
    """`||u - v||_1 / ||v||_1` with `||w||_1^2 = ||w||^2 + |w|_1^2`, on grids.

    The seminorm is `opnet.spaces.norms.h1_seminorm`: along periodic axes spectral, or by differences if asked for
    (which damp the highest modes, and so forgive noise); differences along others.

    Args:
        derivative: "spectral" or "difference", along periodic axes.

    Raises:
        ValueError: for an unknown derivative; on a graph, which has none.
    """

    derivative: str = "spectral"
    unit: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        if self.derivative not in DERIVATIVES:
            expected = f"one of {', '.join(DERIVATIVES)}"
            raise ValueError(f"RelativeH1.derivative: expected {expected}, found {self.derivative!r}")

    def measure(self, prediction: Tensor, target: Tensor, domain: Domain) -> Tensor:
        grid = grid_of(self, domain)
        error, size = (h1_norm(values, grid, self.derivative) for values in (prediction - target, target))
        return ratio(self, error, size)


@register_metric("RelativeLp")
@dataclass(frozen=True)
class RelativeLp(Metric):
    """`||u - v||_p / ||v||_p` with `||w||_p^p = int |w|^p dx`, on grids: the largest value where p is infinite.

    p = 1 forgives a thin layer of large errors, such as a shock that is a cell off; large p is about the worst point,
    and few points bring its gradient.

    Args:
        p: at least 1.

    Raises:
        ValueError: for a smaller p; on a graph.

    >>> grid = Grid((2,), nodes="cell")
    >>> RelativeLp(float("inf"))(torch.tensor([[[2.0, 3.0]]]), torch.tensor([[[2.0, 4.0]]]), grid)
    tensor([[0.2500]])
    """

    p: float = 1.0
    unit: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        if isinstance(self.p, bool) or not isinstance(self.p, (int, float)) or not self.p >= 1:
            raise ValueError(f"RelativeLp.p: expected a number of at least 1, found {self.p!r}")

    def measure(self, prediction: Tensor, target: Tensor, domain: Domain) -> Tensor:
        grid = grid_of(self, domain)
        return ratio(self, lp_norm(prediction - target, grid, self.p), lp_norm(target, grid, self.p))


@register_metric("AbsoluteL2")
@dataclass(frozen=True)
class AbsoluteL2(Metric):
    """`||u - v||` in L2; trajectories as in `RelativeL2`. On a graph, the root mean square over the nodes."""

    time: str = "mean"
    unit: ClassVar[str] = "unit of the target times length^(dim/2)"

    def __post_init__(self) -> None:
        _check_time(self)

    def measure(self, prediction: Tensor, target: Tensor, domain: Domain) -> Tensor:
        return _l2(prediction - target, domain, self.time)


@register_metric("MSE")
@dataclass(frozen=True)
class MSE(Metric):
    """Mean squared error, `int |u - v|^2 dx / int dx` by the grid's quadrature; on a graph, over nodes and times."""

    unit: ClassVar[str] = "square of the target's unit"

    def measure(self, prediction: Tensor, target: Tensor, domain: Domain) -> Tensor:
        volume = prod(domain.lengths) if isinstance(domain, Grid) else 1.0
        return _l2(prediction - target, domain, "mean").square() / volume


def _l2(values: Tensor, domain: Domain, time: str) -> Tensor:
    if isinstance(domain, Grid):
        return l2_norm(values, domain)
    parts = zip(domain.split(values), domain.sizes, strict=True)
    norms = torch.cat([vector_norm(part, dim=-2) / n**0.5 for part, n in parts])
    if values.ndim == 3:
        return norms
    return norms.amax(1) if time == "max" else vector_norm(norms, dim=1) / values.shape[1] ** 0.5


def grid_of(metric: Metric, domain: Domain) -> Grid:
    """The domain of a metric that means nothing on graphs."""
    if not isinstance(domain, Grid):
        raise ValueError(f"{type(metric).__name__}: expected a Grid, found a {type(domain).__name__}")
    return domain


def ratio(metric: Criterion, error: Tensor, size: Tensor, of: str = "targets") -> Tensor:
    """`error / size`, (batch, channel); a `ValueError` naming the first of the targets whose size is zero."""
    vanishing = size == 0
    if vanishing.any():
        sample, channel = torch.nonzero(vanishing)[0].tolist()
        raise ValueError(
            f"{metric.name}: expected {of} of non-zero norm, found zero in channel {channel} of sample {sample} of "
            "the batch; an absolute metric such as AbsoluteL2 or MSE can measure it"
        )
    return error / size


def _check_time(metric: RelativeL2 | AbsoluteL2) -> None:
    if metric.time not in ("mean", "max"):
        raise ValueError(f"{metric.name}.time: expected one of mean, max, found {metric.time!r}")
