"""The integral operator of a graphon, discretised to high order: what graphs of many nodes converge to."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from torch import Tensor

from opnet.graphs.graphon import Graphon
from opnet.linops.base import LinearOperator
from opnet.linops.composed import Sum
from opnet.linops.sparse import CSR


@dataclass(frozen=True)
class Panels:
    """Gauss-Legendre quadrature on a partition of [0, 1]: exact for polynomials of degree 2 order - 1 on each panel.

    Args:
        edges: from 0 to 1, ascending, float64; shape (panels + 1,).
        order: nodes a panel. One node is the midpoint rule.

    >>> Panels(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), 1).nodes
    tensor([0.2500, 0.7500], dtype=torch.float64)
    """

    edges: Tensor
    order: int

    def __post_init__(self) -> None:
        e = self.edges
        if e.ndim != 1 or len(e) < 2 or float(e[0]) != 0 or float(e[-1]) != 1 or not bool((e.diff() > 0).all()):
            raise ValueError("Panels.edges: expected ascending numbers from 0 to 1")
        if self.order < 1:
            raise ValueError(f"Panels.order: expected at least 1, found {self.order}")

    @classmethod
    def smooth(cls, W: Graphon, order: int = 12) -> Panels:
        """Panels for smooth functions: at least 24, none across a block boundary of W."""
        count = W.blocks * ceil(24 / W.blocks)
        return cls(torch.arange(count + 1, dtype=torch.float64) / count, order)

    @classmethod
    def merged(cls, W: Graphon, n: int, order: int = 3) -> Panels:
        """Panels for step functions on n equal cells: the breakpoints i / n and those of W together."""
        ticks = torch.cat([torch.arange(n + 1) * W.blocks, torch.arange(W.blocks + 1) * n]).unique()
        return cls(ticks.to(torch.float64) / (n * W.blocks), order)

    @property
    def nodes(self) -> Tensor:
        """Quadrature nodes, panel by panel; shape (panels * order,)."""
        return (self._middle[:, None] + self._half[:, None] * self._rule[0]).reshape(-1)

    @property
    def weights(self) -> Tensor:
        """Quadrature weights, shape (panels * order,)."""
        return (self._half[:, None] * self._rule[1]).reshape(-1)

    def panel_of(self, u: Tensor) -> Tensor:
        """The panel each point lies in."""
        return (torch.searchsorted(self.edges, u, right=True) - 1).clamp(0, len(self.edges) - 2)

    @property
    def _middle(self) -> Tensor:
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    @property
    def _half(self) -> Tensor:
        return 0.5 * self.edges.diff()

    @property
    def _rule(self) -> tuple[Tensor, Tensor]:
        return _gauss(self.order)


def integral_operator(
    W: Graphon, panels: Panels, points: Tensor | None = None, *, dtype: torch.dtype = torch.float64
) -> LinearOperator:
    """`(T_W g)(u) = integral_0^1 W(u, v) g(v) dv` at the panels' nodes and then at `points`, from g at the nodes.

    A square operator on nodes and points together, in which values at points weigh nothing: so a solve carries the
    points along without disturbing the rest. As accurate as Gauss quadrature of smooth functions: for a graphon with a
    kink on the diagonal, the panel that holds u is integrated on both sides of u.

    Args:
        points: anywhere in [0, 1], shape (points,).
    """
    u = panels.nodes if points is None else torch.cat([panels.nodes, points.to(torch.float64)])
    w = torch.zeros_like(u)
    w[: len(panels.weights)] = panels.weights
    far = W.weighted_sum(u.to(dtype), w.to(dtype))
    return Sum(far, near_diagonal(W, panels, u, dtype)) if W.kink else far


def near_diagonal(W: Graphon, panels: Panels, u: Tensor, dtype: torch.dtype) -> CSR:
    """What Gauss quadrature misses on the panel that holds u, where W(u, .) has a kink at u.

    `y(u) = sum_b ( integral_panel W(u, v) l_b(v) dv - W(u, v_b) w_b ) g_b`, l_b the Lagrange polynomials of the panel's
    nodes v_b: `order` entries a row.
    """
    order, panel = panels.order, panels.panel_of(u)
    low, high = panels.edges[panel], panels.edges[panel + 1]
    nodes, weights = (x.reshape(-1, order)[panel] for x in (panels.nodes, panels.weights))
    s, sigma = _gauss(order + 4)
    exact = torch.zeros(len(u), order, dtype=torch.float64)
    for a, b in ((low, u), (u, high)):
        v = (0.5 * (a + b))[:, None] + (0.5 * (b - a))[:, None] * s
        reference = (2 * v - (low + high)[:, None]) / (high - low)[:, None]
        values = W(u[:, None], v) * sigma * (0.5 * (b - a))[:, None]
        exact += torch.einsum("uq,uqb->ub", values, _lagrange(order, reference))
    missed = (exact - W(u[:, None], nodes) * weights).to(dtype)
    columns = panel[:, None] * order + torch.arange(order)
    start = torch.arange(len(u) + 1) * order
    return CSR(start, columns.reshape(-1), missed.reshape(-1), (len(u), len(u)))


def _gauss(order: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights on [-1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return torch.from_numpy(nodes), torch.from_numpy(weights)


def _lagrange(order: int, x: Tensor) -> Tensor:
    """The Lagrange polynomials of the Gauss nodes at x in [-1, 1].  # shape: (...,) -> (..., order)"""
    nodes, _ = np.polynomial.legendre.leggauss(order)
    to_values = np.linalg.inv(np.polynomial.legendre.legvander(nodes, order - 1))
    return torch.from_numpy(np.polynomial.legendre.legvander(x.numpy(), order - 1) @ to_values)
