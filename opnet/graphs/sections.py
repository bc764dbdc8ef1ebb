"""The integral operator of a {0,1}-valued graphon whose sections are known intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from opnet.graphs.runs import Runs, RunSum
from opnet.linops.base import LinearOperator
from opnet.linops.composed import Sum
from opnet.linops.sparse import CSR

if TYPE_CHECKING:
    from opnet.graphs.limit import Panels


@runtime_checkable
class HasSections(Protocol):
    """What knows its sections."""

    def sections(self, x: Tensor) -> Runs:
        """The intervals {y: W(x, y) = 1} of each x, as positions."""


def section_operator(W: HasSections, panels: Panels, u: Tensor, dtype: torch.dtype = torch.float64) -> LinearOperator:
    """`(T_W g)(u) = sum over the intervals [low, high) of the section of u of G(high) - G(low)`, G' = g.

    g is the polynomial of degree order - 1 through its values at the nodes of each panel, so this is exact for step
    functions on the panels and for such polynomials, wherever the intervals end. The panels that lie in an interval
    contribute their quadrature, O(nodes + intervals); the two that hold its ends contribute `order` entries each.

    Args:
        panels: Gauss quadrature on a partition of [0, 1].
        u: where the result is wanted, float64; begins with the panels' nodes. Values at the others weigh nothing.
        dtype: of the operator.

    Returns:
        A square operator on len(u) values.

    Raises:
        ValueError: for points that do not begin with the nodes.

    >>> from opnet.graphs.fractals.hexaflake import Hexaflake
    >>> from opnet.graphs.limit import Panels
    >>> panels = Panels(torch.linspace(0, 1, 5, dtype=torch.float64), 3)
    >>> T = section_operator(Hexaflake(0), panels, torch.cat([panels.nodes, torch.tensor([0.5]).double()]))
    >>> round(float((T @ torch.ones(13, dtype=torch.float64))[-1]), 4)  # as long as the hexagon is high at x = 1/2
    0.8876
    """
    nodes, order = panels.nodes, panels.order
    if u.ndim != 1 or not torch.equal(u[: len(nodes)], nodes):
        raise ValueError(f"section_operator.u: expected the panels' {len(nodes)} nodes first, found other points")
    sections = W.sections(u)
    row = sections.row
    weights = torch.zeros_like(u)
    weights[: len(nodes)] = panels.weights
    first, last = panels.panel_of(sections.low), panels.panel_of(sections.high)
    whole = RunSum(Runs.union(row, first * order, last * order, len(u)), weights.to(dtype))

    # Whole panels begin where that of `low` does and end where that of `high` does.
    panel = torch.cat([first, last])
    end = torch.cat([sections.low, sections.high])
    parts = _up_to(panels, panel, end)
    parts[: len(first)] *= -1
    count = len(panels.edges) - 1
    key, place = torch.unique(torch.cat([row, row]) * count + panel, return_inverse=True)
    entries = parts.new_zeros(len(key), order).index_add(0, place, parts)
    columns = (key % count)[:, None] * order + torch.arange(order)
    per_row = torch.bincount(key // count, minlength=len(u)) * order
    start = torch.cat([per_row.new_zeros(1), per_row.cumsum(0)])
    return Sum(whole, CSR(start, columns.reshape(-1), entries.reshape(-1).to(dtype), (len(u), len(u))))


def _up_to(panels: Panels, panel: Tensor, end: Tensor) -> Tensor:
    """Integrals of the panel's Lagrange polynomials from its left edge to `end`.  # shape: (k,), (k,) -> (k, order)

    In Legendre polynomials, whose integrals from -1 to s are (P_{j+1}(s) - P_{j-1}(s)) / (2j + 1), and s + 1 for j = 0.
    """
    low, high = panels.edges[panel], panels.edges[panel + 1]
    half, order = 0.5 * (high - low), panels.order
    P = np.polynomial.legendre.legvander(((end - low) / half - 1).numpy(), order)
    j = np.arange(order)
    integrals = (P[:, 1:] - np.concatenate([-P[:, :1], P[:, :-2]], 1)) / (2 * j + 1)
    nodes, _ = np.polynomial.legendre.leggauss(order)
    of_values = np.linalg.inv(np.polynomial.legendre.legvander(nodes, order - 1))
    return half[:, None] * torch.from_numpy(integrals @ of_values)
