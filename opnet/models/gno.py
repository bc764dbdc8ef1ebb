"""`GNO`: the graph neural operator, local integrals with learned kernels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import gelu

from opnet.core.registry import register
from opnet.models.blocks.kernel_integral import KernelIntegral
from opnet.models.blocks.neighbourhoods import Neighbourhoods
from opnet.models.kernel_model import KernelModel, check_arguments
from opnet.spaces.points import Points


@register("model", "GNO")
class GNO(KernelModel):
    """The graph neural operator on a grid (`forward`) or on any points (`forward_points`).

        v_0 = P (a, x),   v_{j+1}(x) = gelu( W_j v_j(x) + b_j + avg_{|x-y|<=r} kappa_j(x, y) v_j(y) ),   u = Q(v_n)

    (the last layer without gelu; Q one hidden layer with gelu). The average over a ball is a quadrature, so that the
    same weights mean one operator on all grids and clouds whose spacing is well below r.

    Good at points of any kind and at local operators. Bad at fields that one radius a layer does not carry through the
    domain (`MultipoleGNO` does), and dear: the time is in points x points in a ball. At r below the spacing it is an
    MLP at every point.

    Args:
        in_channels, out_channels: channels of a and u.
        dim: axes of the domain.
        radius: r, in units of the box's longest side. Good: three spacings or more, and radius x layers about 1.
        width: channels of v.
        layers: integral layers.
        kernel: "matrix", width x width for every pair, as published; "diagonal", one factor a channel: cheaper.
        terms: of a "matrix" kernel: see `KernelIntegral`. Good: 8; the more, the closer to one of any form.
        hidden: widths of the kernel network's hidden layers (relu).
        sees_input: kernels see a(x) and a(y) too, as published, which multiplies their cost by the batch.
        window: "smooth", by which the kernel vanishes at the ball's edge: outputs converge fast under refinement and
            do not jump; "flat", as published.
        neighbours: at most so many nodes of each ball, drawn once for given points, without bias (Nyström's method):
            the cost no longer grows with the resolution, and the error, by then that of the draw, no longer falls.
        seed: of the draw.
        projection_width: hidden channels of Q.

    Raises:
        ValueError: for an argument out of range; on a call, for inputs whose channels, dtype or grid do not fit.

    Source: Li et al., Neural Operator: Graph Kernel Network for Partial Differential Equations, 2020;
    Kovachki et al., Neural Operator: Learning Maps Between Function Spaces, JMLR 24, 2023, section 4.1. The smooth
    window, quadrature weights and the sum of matrices are opnet's choice.

    >>> import torch
    >>> model = GNO(1, 1, radius=0.3, width=8, layers=2, hidden=(16,))
    >>> model(torch.zeros(3, 1, 8, 10)).shape, model.forward_points(torch.zeros(3, 50, 1), torch.rand(50, 2)).shape
    (torch.Size([3, 1, 8, 10]), torch.Size([3, 50, 1]))
    """

    registered_name = "GNO"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dim: int = 2,
        radius: float = 0.2,
        width: int = 32,
        *,
        layers: int = 4,
        kernel: str = "matrix",
        terms: int = 8,
        hidden: Sequence[int] = (64, 64),
        sees_input: bool = False,
        window: str = "smooth",
        neighbours: int | None = None,
        seed: int = 0,
        projection_width: int = 128,
    ) -> None:
        super().__init__()
        self.arguments = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "dim": dim,
            "radius": radius,
            "width": width,
            "layers": layers,
            "kernel": kernel,
            "terms": terms,
            "hidden": hidden,
            "sees_input": sees_input,
            "window": window,
            "neighbours": neighbours,
            "seed": seed,
            "projection_width": projection_width,
        }
        check_arguments("GNO", self.arguments)
        self.sees_input = sees_input
        self._make_ends(in_channels, out_channels, dim, width, projection_width)
        seen = in_channels if sees_input else 0
        self.integrals = nn.ModuleList(KernelIntegral(width, dim, kernel, terms, hidden, seen) for _ in range(layers))
        self.pointwise = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))

    def geometry(self, points: Points) -> Neighbourhoods:
        chosen = {key: self.arguments[key] for key in ("window", "neighbours", "seed")}
        return Neighbourhoods.between(points, points, self.arguments["radius"], **chosen)

    def operator(self, a: Tensor, points: Points, geometry: Neighbourhoods) -> Tensor:
        v = self.lifted(a, points)
        seen = (a, a) if self.sees_input else None
        for layer, (integral, pointwise) in enumerate(zip(self.integrals, self.pointwise, strict=True)):
            v = pointwise(v) + integral(v, geometry, seen)
            if layer + 1 < len(self.integrals):
                v = gelu(v)
        return v
