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
        """Panels for smooth functions: at least 24, none across a block's end of W, ever smaller to singular points."""
        each = ceil(24 / W.blocks)
        edges = W.breakpoints()
        if each > 1:
            share = torch.arange(each, dtype=torch.float64) / each
            edges = torch.cat([(edges[:-1, None] + edges.diff()[:, None] * share).reshape(-1), edges[-1:]])
        for point in W.singular_points:
            distance = 2.0 ** -torch.arange(5, 41, dtype=torch.float64)
            near = torch.cat([point - distance, point + distance])
            edges = torch.cat([edges, near[(near > 0) & (near < 1)]])
        return cls(_distinct(edges), order)

    @classmethod
    def merged(cls, W: Graphon, n: int, order: int = 3, refinement: int = 1) -> Panels:
        """Panels for step functions on n equal cells: their ends and those of W's blocks together.

        Args:
            refinement: equal parts that each cell is divided into, for a W that is rough.
        """
        cells = torch.arange(n * refinement + 1, dtype=torch.float64) / (n * refinement)
        return cls(_distinct(torch.cat([cells, W.breakpoints()])), order)

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
    own = W.integral(panels, u, dtype)
    if own is not None:
        return own
    w = torch.zeros_like(u)
    w[: len(panels.weights)] = panels.weights
    far = W.weighted_sum(u.to(dtype), w.to(dtype))
    return far if W.kink is None else Sum(far, near_diagonal(W, panels, u, dtype))


def near_diagonal(W: Graphon, panels: Panels, u: Tensor, dtype: torch.dtype) -> CSR:
    """What Gauss quadrature misses on the panel that holds u, where W(u, .) has a kink at u.

    `y(u) = sum_b ( integral_panel W(u, v) l_b(v) dv - W(u, v_b) w_b ) g_b`, l_b the Lagrange polynomials of the panel's
    nodes v_b: `order` entries a row. For a kink of no integer power, which is not smooth on either side, the panels
    beside it count too, and on each side v = u + (end - u) s^p with an integer p that makes |u - v|^kink a power of s
    of degree 2 or more.
    """
    assert W.kink is not None
    order, held, last = panels.order, panels.panel_of(u), len(panels.edges) - 2
    beside, p = ((0,), 1) if float(W.kink).is_integer() else ((-1, 0, 1), ceil(2 / W.kink))
    rule, sigma = _gauss(p * (order + 4))
    s, sigma = (0.5 * (1 + rule)) ** p, 0.5 * sigma * p * (0.5 * (1 + rule)) ** (p - 1)
    rows, columns, missed = [], [], []
    for offset in beside:
        row = torch.arange(len(u))[(held + offset >= 0) & (held + offset <= last)]
        x, panel = u[row, None], held[row] + offset
        low, high = panels.edges[panel, None], panels.edges[panel + 1, None]
        nodes, weights = (part.reshape(-1, order)[panel] for part in (panels.nodes, panels.weights))
        nearest = x.clamp(low, high)
        exact = torch.zeros_like(nodes)
        for end in (low, high):
            v = nearest + (end - nearest) * s
            values = W(x, v) * sigma * (end - nearest).abs()
            exact += torch.einsum("uq,uqb->ub", values, _lagrange(order, (2 * v - (low + high)) / (high - low)))
        rows.append(row.repeat_interleave(order))
        columns.append((panel[:, None] * order + torch.arange(order)).reshape(-1))
        missed.append((exact - W(x, nodes) * weights).reshape(-1))
    return CSR.from_entries(torch.cat(rows), torch.cat(columns), torch.cat(missed).to(dtype), (len(u), len(u)))


def _distinct(edges: Tensor) -> Tensor:
    """Ascending, those that differ by rounding alone counted once."""
    edges = edges.sort().values
    kept = torch.cat([edges.new_ones(1), edges.diff()]) > 1e-12
    edges = edges[kept]
    edges[-1] = 1.0
    return edges


def _gauss(order: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights on [-1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return torch.from_numpy(nodes), torch.from_numpy(weights)


def _lagrange(order: int, x: Tensor) -> Tensor:
    """The Lagrange polynomials of the Gauss nodes at x in [-1, 1].  # shape: (...,) -> (..., order)"""
    nodes, _ = np.polynomial.legendre.leggauss(order)
    to_values = np.linalg.inv(np.polynomial.legendre.legvander(nodes, order - 1))
    return torch.from_numpy(np.polynomial.legendre.legvander(x.numpy(), order - 1) @ to_values)
