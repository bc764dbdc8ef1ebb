"""How far a graph neural differential equation can be from its graphon limit: a bound that is computed beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf, isfinite, isnan
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import expect
from opnet.core.typing import Float
from opnet.evaluation.graphon_study import REFINEMENT, check_double, split_error
from opnet.evaluation.records import Record, record
from opnet.graphs.graphon import Graphon
from opnet.graphs.limit import Panels, integral_operator
from opnet.graphs.sampling import sample_graph
from opnet.linops.base import LinearOperator
from opnet.linops.operator_norm import operator_norm
from opnet.linops.sparse import CSR
from opnet.models.blocks.activations import LIPSCHITZ
from opnet.models.blocks.graph_filter import GraphFilter
from opnet.models.blocks.time_basis import TimeBasis
from opnet.models.graph_nde import GraphNDE
from opnet.models.graphon_nde import GraphonNDE

_INSTANTS = 48  # nodes of the time integrals, at least, and in each period of a Fourier basis
_POINTS = 65  # where a filter's gain is evaluated in [-s, s]


@dataclass(frozen=True)
class Bound:
    """What `a_priori_bound` found: the error, three bounds of it, and what they are made of.

    Attributes:
        observed: sup_t ||X_n - X||, the total error.
        residual: the residual form of the bound, from the limit trajectory and both operators applied to it.
        value: the bound, from the limit trajectory and the norm of the operators' difference.
        fully_a_priori: the bound from the weights, the norms and x0 alone; inf where it overflows.
        feature: ||g_n - g||, the distance of x0 from the step function of its node values.
        eps: ||T_{W_n} - T_W||, in operator norm on L2(0, 1).
        s: not less than ||T_W|| and ||T_{W_n}||.
        times: where L and C were evaluated; shape (time,).
        L: the Lipschitz constant of the vector field; shape (time,).
        C: what the vector field changes by for each unit of eps, on the limit trajectory; shape (time,).
    """

    observed: float
    residual: float
    value: float
    fully_a_priori: float
    feature: float
    eps: float
    s: float
    times: Float[Tensor, " time"]
    L: Float[Tensor, " time"]
    C: Float[Tensor, " time"]

    @property
    def curves(self) -> dict[str, float]:
        """The error and its bounds by name, least first: a part each for `measure_convergence`."""
        return {
            "observed": self.observed,
            "residual form": self.residual,
            "bound": self.value,
            "fully a priori": self.fully_a_priori,
        }

    @property
    def ratios(self) -> dict[str, float]:
        """Each bound over the observed error."""
        return {name: bound / self.observed for name, bound in self.curves.items() if name != "observed"}

    @property
    def holds(self) -> bool:
        """Whether the observed error lies below all bounds."""
        return all(self.observed <= bound for bound in self.curves.values())

    def records(self, **labels: Any) -> list[Record]:
        """Flat records, with `labels` such as `graphon="tent", n=400` on each; bounds that overflow are left out."""
        rows = [record("error_bound", bound, part=part, **labels) for part, bound in self._finite(self.curves)]
        rows += [record("bound_over_error", ratio, part=part, **labels) for part, ratio in self._finite(self.ratios)]
        for name in ("feature", "eps", "s"):
            rows.append(record(f"bound_{name}", getattr(self, name), **labels))
        return rows

    @staticmethod
    def _finite(values: dict[str, float]) -> list[tuple[str, float]]:
        return [(name, value) for name, value in values.items() if isfinite(value)]


def a_priori_bound(
    gnde: GraphNDE,
    W: Graphon,
    n: int,
    x0: Callable[[Tensor], Tensor],
    ts: Tensor,
    *,
    regime: str = "weighted",
    nodes: str = "midpoint",
    density: float = 1.0,
    keep_diagonal: bool = True,
    seed: int = 0,
    observed: float | None = None,
) -> Bound:
    """A computed bound of the distance between a GNDE on n nodes and its graphon limit, beside the distance itself.

    With X the limit trajectory, g = x0 and g_n the step function of its node values, t counted from ts[0], T the last:

        sup_t ||X_n - X|| <= exp(int_0^T L) ( ||g_n - g|| + int_0^T exp(-int_0^t L) R dt ),

    where R(t) >= ||Phi(X; T_{W_n}) - Phi(X; T_W)|| is taken in three ways, each from less than the one before:

        residual form:   that norm itself;
        bound:           eps C(t), with m_l(t) = ||Y_l(t)|| the layers' norms on the limit trajectory, m_0 = ||X||;
        fully a priori:  eps C(t), with m_l <= Lam_l m_{l-1} + Lip(rho_l) ||b_l|| + |rho_l(0)| sqrt(F_l) and
                         m_0 <= exp(int_0^t L) (||g|| + int_0^t ||Phi(0)||), ||Phi(0)|| by the same recursion from 0.

    Here `L = prod_l Lam_l`, `C = sum_l (prod_{j>l} Lam_j) D_l m_{l-1}`, with Lam_l and D_l of `filter_gains`, and
    `eps = ||T_{W_n} - T_W||`, `s >= ||T_W||, ||T_{W_n}||` in operator norm: the Hilbert-Schmidt norm does not fall at
    all on random graphs. Norms are those of L2(0, 1) summed over features.

    What is certain and what is not: eps and s are those of the operators on Gauss nodes (three a merged cell, as many
    on each of its parts for a rough graphon), above them by a few parts in a thousand (see `operator_norm`); Lam_l is
    never too small; the integrals over time are midpoint sums, broken where a piecewise basis jumps, wrong by less than
    1e-3 of the bound; the errors of time stepping are ignored, as those of X_n and X nearly cancel.

    Args:
        gnde: with float64 weights.
        W, n, regime, nodes, density, keep_diagonal, seed: as for `sample_graph`.
        x0: features at points, shape (point,) -> (1, point, feature).
        ts: float64, ascending; the observed error is a supremum over these.
        observed: the total `split_error` of the same arguments, where it is known already.

    Raises:
        ValueError: for weights or times that are not float64, times that do not ascend, several functions x0, an
            activation whose Lipschitz constant is not known, and where the limit is not resolved (see `split_error`).

    Source: derived after Yan, Kulick, Tang, arXiv 2510.03923, whose constants are not computed; Gronwall's inequality.

    A curve beside a convergence study:

    >>> from opnet.evaluation.convergence import measure_convergence
    >>> from opnet.evaluation.graphon_study import UntrainedGNDE
    >>> from opnet.graphs.graphons import arithmetic_mean
    >>> def bound_at(n, seed):
    ...     gnde, x0, ts = UntrainedGNDE(features=(1, 1), modes=2).draw(seed)
    ...     return a_priori_bound(gnde, arithmetic_mean(), n, x0, ts, seed=seed).curves
    >>> study = measure_convergence(bound_at, [25, 50, 100], seeds=[0])
    >>> {part: round(order) for part, order in study.order.items()}
    {'observed': -1, 'residual form': -1, 'bound': -1, 'fully a priori': -1}
    """
    options = {"regime": regime, "nodes": nodes, "density": density, "keep_diagonal": keep_diagonal, "seed": seed}
    expect("a_priori_bound: gnde", gnde, GraphNDE, "a GraphNDE, whose layers are filters")
    check_double("a_priori_bound", gnde, ts)
    if ts.ndim != 1 or len(ts) < 2 or not bool((ts.diff() > 0).all()):
        raise ValueError("a_priori_bound.ts: expected at least two ascending times")
    if observed is None:
        observed = split_error(gnde, W, n, x0, ts, **options)["total"]  # type: ignore[arg-type]
    with torch.no_grad():
        graph = sample_graph(W, n, **options)  # type: ignore[arg-type]
        assert graph.positions is not None
        panels = Panels.merged(W, n, refinement=REFINEMENT if W.rough else 1)
        u, w = panels.nodes, panels.weights
        limit, induced = integral_operator(W, panels), step_operator(graph.shift, panels)
        # In coordinates sqrt(w) g the plain dot product is that of L2(0, 1).
        into, back = w.sqrt(), w.rsqrt()
        eps = operator_norm((induced - limit).scaled(into, back))
        s = max(operator_norm(limit.scaled(into, back)), operator_norm(graph.shift))

        layers = [layer for layer in gnde.layers if isinstance(layer, GraphFilter)]
        times, dt = _instants(layers[0].basis, float(ts[0]), float(ts[-1]))
        Lam, D = (torch.stack(gains) for gains in zip(*(filter_gains(f, s, times) for f in layers), strict=True))
        L = Lam.prod(0)

        g = x0(u)
        if len(g) != 1:
            raise ValueError(f"a_priori_bound.x0: expected one function, found a batch of {len(g)}")
        cell = (u * n).long().clamp(0, n - 1)
        feature = float(_norm(x0(graph.positions)[0, cell] - g[0], w))
        X = GraphonNDE(gnde, W, panels if W.rough else None)(x0, torch.cat([ts[:1], times]), u)[0, 1:]
        m, residual = _along(layers, X, times, limit, induced, w)
        C = _sensitivity(Lam, D, m)
        rest = _recursion(layers, Lam, torch.zeros_like(L))[-1]
        m_0 = _until(L, dt).exp() * (_norm(g[0], w) + _until(rest, dt))
        C_prior = _sensitivity(Lam, D, _recursion(layers, Lam, m_0)[:-1])
    return Bound(
        observed=observed,
        residual=_gronwall(L, dt, feature, residual),
        value=_gronwall(L, dt, feature, eps * C),
        fully_a_priori=_gronwall(L, dt, feature, eps * C_prior),
        feature=feature,
        eps=eps,
        s=s,
        times=times,
        L=L,
        C=C,
    )


def filter_gains(
    layer: GraphFilter, s: float, times: Float[Tensor, " time"], *, symmetric: bool = True
) -> tuple[Float[Tensor, " time"], Float[Tensor, " time"]]:
    """Lam(t) and D(t) of a filter layer: what its output changes by for a change of its input, or of S.

        Lam(t) = Lip(rho) sup_{|lam| <= s} || sum_k lam^k H_k(t) ||_2      (symmetric S with ||S|| <= s)
        Lam(t) = Lip(rho) sum_k s^k ||H_k(t)||_2                           (any S with ||S|| <= s)
        D(t)   = Lip(rho) sum_{k>=1} k s^(k-1) ||H_k(t)||_2

    so that `||Y(X') - Y(X)|| <= Lam ||X' - X||` and `||Y(X; S') - Y(X; S)|| <= D ||S' - S|| ||X||`. The supremum is
    certified: the largest of 65 values a distance d apart plus d^2 / 8 times a bound of the second derivative, which
    is all that the norm of a polynomial can rise above that of its linear interpolant.

    Args:
        layer: its activation is registered, or None for a linear layer.
        s: not less than ||S||.
        times: where, shape (time,).
        symmetric: whether S is known to be.

    Raises:
        ValueError: for an activation whose Lipschitz constant is not known.

    >>> layer = GraphFilter(1, 1, 2, None, TimeBasis())
    >>> _ = layer.weight.data.copy_(torch.tensor([1.0, 0.5]).reshape(1, 2, 1, 1))
    >>> filter_gains(layer, 0.8, torch.zeros(1))
    (tensor([1.4000]), tensor([0.5000]))
    """
    lipschitz = _lipschitz(layer)
    gains, sensitivities = [], []
    lam = torch.linspace(-s, s, _POINTS, dtype=times.dtype)
    distance = 2 * s / (_POINTS - 1)
    for t in times:
        H = layer.coefficients(t).detach()
        norms = torch.linalg.matrix_norm(H, 2)
        k = torch.arange(len(H), dtype=H.dtype)
        if symmetric:
            values = torch.linalg.matrix_norm(torch.einsum("lk,kio->lio", lam[:, None] ** k, H), 2)
            curvature = (k * (k - 1) * s ** (k - 2).clamp(min=0)) @ norms
            gains.append(lipschitz * (values.max() + distance**2 / 8 * curvature))
        else:
            gains.append(lipschitz * (s**k @ norms))
        sensitivities.append(lipschitz * ((k * s ** (k - 1).clamp(min=0)) @ norms))
    return torch.stack(gains), torch.stack(sensitivities)


def step_operator(shift: LinearOperator, panels: Panels) -> LinearOperator:
    """`(T_{W_n} g)(u) = n sum_j S_ij integral_{I_j} g` for u in I_i, on functions given at the panels' nodes.

    Args:
        shift: S, n x n, such as A / (alpha n).
        panels: none across an edge i / n, such as `Panels.merged`.
    """
    n, u = shift.shape[0], panels.nodes
    # No node lies on an edge of a cell, so rounding cannot move it to another one. Cells ascend with the nodes.
    cell = (u * n).long().clamp(0, n - 1)
    each, start = torch.arange(len(u) + 1), torch.bincount(cell, minlength=n).cumsum(0)
    spread = CSR(each, cell, torch.ones_like(u), (len(u), n))
    mean = CSR(torch.cat([start.new_zeros(1), start]), each[:-1], n * panels.weights, (n, len(u)))
    return spread @ (shift @ mean)


def _norm(g: Tensor, w: Tensor) -> Tensor:
    """In L2(0, 1), over all features.  # shape: (point, feature), (point,) -> ()"""
    return (g.square().sum(-1) @ w).sqrt()


def _lipschitz(layer: GraphFilter) -> float:
    if layer.activation is None:
        return 1.0
    if layer.activation not in LIPSCHITZ:
        raise ValueError(
            f"filter_gains: expected an activation in opnet.models.blocks.activations.LIPSCHITZ, found "
            f"{layer.activation}"
        )
    return LIPSCHITZ[layer.activation]


def _instants(basis: TimeBasis, start: float, end: float) -> tuple[Tensor, Tensor]:
    """Nodes and weights of the midpoint rule in time, no interval across a jump of the basis."""
    periods = (end - start) * (basis.terms // 2) / basis.horizon if basis.kind == "fourier" else 1.0
    edges = torch.linspace(start, end, _INSTANTS * max(1, ceil(periods)) + 1, dtype=torch.float64)
    if basis.kind == "piecewise":
        jumps = torch.arange(1, basis.terms, dtype=torch.float64) * (basis.horizon / basis.terms)
        edges = torch.cat([edges, jumps[(jumps > start) & (jumps < end)]]).sort().values
        # An edge within rounding of a jump is that jump.
        edges = edges[torch.cat([edges.new_ones(1), edges.diff()]) > 1e-12 * (end - start)]
    return 0.5 * (edges[1:] + edges[:-1]), edges.diff()


def _along(
    layers: list[GraphFilter], X: Tensor, times: Tensor, limit: LinearOperator, induced: LinearOperator, w: Tensor
) -> tuple[Tensor, Tensor]:
    """m_{l-1}(t) for each layer l, and ||Phi(X; T_{W_n}) - Phi(X; T_W)||.

    # shape: X (time, point, feature) -> (layer, time), (time,)
    """
    norms, residuals = [], []
    for t, start in zip(times, X, strict=True):
        Y = Y_n = start[:, None]  # one signal as (node, batch, feature)
        inputs = []
        for layer in layers:
            inputs.append(_norm(Y[:, 0], w))
            Y, Y_n = layer(limit, Y, t), layer(induced, Y_n, t)
        norms.append(torch.stack(inputs))
        residuals.append(_norm((Y_n - Y)[:, 0], w))
    return torch.stack(norms, 1), torch.stack(residuals)


def _recursion(layers: list[GraphFilter], Lam: Tensor, m_0: Tensor) -> Tensor:
    """Bounds of m_0, ..., m_layers from that of m_0.  # shape: (layer, time), (time,) -> (layer + 1, time)"""
    m = [m_0]
    for layer, gain in zip(layers, Lam, strict=True):
        rho, b = layer.activation, layer.bias
        at_zero = 0.0 if rho is None else float(rho(torch.zeros_like(b)).norm())
        m.append(gain * m[-1] + _lipschitz(layer) * b.norm() + at_zero)
    return torch.stack(m)


def _sensitivity(Lam: Tensor, D: Tensor, m: Tensor) -> Tensor:
    """`C = sum_l (prod_{j>l} Lam_j) D_l m_{l-1}`.  # shape: (layer, time), ... -> (time,)"""
    C = torch.zeros_like(m[0])
    for gain, sensitivity, norm in zip(Lam, D, m, strict=True):
        C = gain * C + sensitivity * norm
    return C


def _until(f: Tensor, dt: Tensor) -> Tensor:
    """int_0^t f at the midpoints t of intervals dt."""
    return (f * dt).cumsum(0) - 0.5 * f * dt


def _gronwall(L: Tensor, dt: Tensor, start: float, forcing: Tensor) -> float:
    """`e(T) = exp(int_0^T L) ( e(0) + int_0^T exp(-int_0^t L) R dt )`, the solution of e' = L e + R."""
    remaining = L @ dt - _until(L, dt)
    value = float((L @ dt).exp() * start + (remaining.exp() * forcing) @ dt)
    return inf if isnan(value) else value  # an overflow times zero
