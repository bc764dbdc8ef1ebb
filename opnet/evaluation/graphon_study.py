"""How graph neural differential equations approach their graphon limit, error by error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from opnet.evaluation.convergence import ConvergenceStudy, check_sizes, measure_convergence
from opnet.graphs.features import FourierFeature
from opnet.graphs.graphon import Graphon
from opnet.graphs.limit import Panels
from opnet.graphs.sampling import sample_graph
from opnet.models.graph_nde import GraphNDE
from opnet.models.graphon_nde import GraphonNDE

PARTS = ("feature", "operator", "nodal", "total")


def split_error(
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
) -> dict[str, float]:
    """The error of a GNDE on n nodes against its graphon limit, split by where it comes from.

    X solves the limit equation from x0, Z the limit equation from the step function g_n of the node values, and X_n is
    the step function of the GNDE's solution:

        feature  = sup_t ||Z - X||,    operator = sup_t ||X_n - Z||,
        nodal    = sup_t ( mean_i |X_n,i - X(x_i)|^2 )^(1/2),    total = sup_t ||X_n - X||,

    norms in L2(0, 1) over all features, by Gauss quadrature on the merged breakpoints of the step functions and the
    graphon (exact there to the order of the quadrature), the supremum over `ts`. Time stepping is the model's own on
    all three, so that its error nearly cancels.

    Args:
        gnde: with float64 weights.
        x0: features at points, shape (point,) -> (1, point, feature).
        ts: float64.
        regime, nodes, density, keep_diagonal, seed: as for `sample_graph`.

    Raises:
        ValueError: for weights or times that are not float64, and where a finer quadrature of the limit moves X by more
            than a twentieth of the nodal error.
    """
    check_double("split_error", gnde, ts)
    with torch.no_grad():
        graph = sample_graph(W, n, regime=regime, nodes=nodes, density=density, keep_diagonal=keep_diagonal, seed=seed)
        assert graph.positions is not None
        steps = x0(graph.positions)
        panels = Panels.merged(W, n)
        u, w = panels.nodes, panels.weights
        # No node of a panel lies on a cell's edge, so rounding cannot move it to another cell.
        cell = (u * n).long().clamp(0, n - 1)
        discrete = gnde(graph, steps, ts)
        X_n = discrete[:, :, cell]
        Z = GraphonNDE(gnde, W, panels)(lambda _: steps[:, cell], ts)
        X = GraphonNDE(gnde, W)(x0, ts, torch.cat([u, graph.positions]))
        X_quadrature, X_nodes = X.split([len(u), n], dim=2)
        # The limit again by a finer quadrature, at some of the nodes: what the reference itself is worth.
        some = slice(None, None, max(1, n // 64))
        finer = GraphonNDE(gnde, W, Panels.smooth(W, order=18))(x0, ts, graph.positions[some])
        doubt = _supremum(finer - X_nodes[:, :, some], torch.full_like(graph.positions[some], 1 / finer.shape[2]))
        errors = {
            "feature": _supremum(Z - X_quadrature, w),
            "operator": _supremum(X_n - Z, w),
            "nodal": _supremum(discrete - X_nodes, torch.full_like(graph.positions, 1 / n)),
            "total": _supremum(X_n - X_quadrature, w),
        }
    if doubt > 0.05 * errors["nodal"]:
        raise ValueError(
            f"x0: expected a feature that the reference resolves, but the limit is in doubt by {doubt:.1e}, the nodal "
            f"error on {n} nodes being {errors['nodal']:.1e}; take fewer modes, a stronger decay, or fewer nodes"
        )
    return errors


def _supremum(difference: Tensor, weights: Tensor) -> float:
    """max over time of the L2 norm.  # shape: (1, time, point, feature), (point,)"""
    return float((difference.square().sum(-1) @ weights).max().sqrt())


@dataclass(frozen=True)
class UntrainedGNDE:
    """The models a convergence study draws: random weights on random features.

    Args:
        features, taps, activation, time_basis: of `GraphNDE`.
        modes, decay: of the `FourierFeature`. With few modes, or a strong decay, the n^-1/2 of the cells that straddle
            blocks can hide behind the n^-1 of all others until n is large.
        horizon: final time T.
        times: number of times in [0, T] the supremum is taken over.
        steps: RK4 steps to T.
    """

    features: tuple[int, ...] = (2, 4, 2)
    taps: int = 2
    activation: str = "tanh"
    time_basis: Mapping[str, Any] | None = field(
        default_factory=lambda: {"kind": "fourier", "terms": 3, "horizon": 1.0}
    )
    modes: int = 10
    decay: float = 1.0
    horizon: float = 1.0
    times: int = 5
    steps: int = 8

    def draw(self, seed: int) -> tuple[GraphNDE, FourierFeature, Tensor]:
        """Model (float64), feature and times of a seed."""
        solver = {"method": "RK4", "step": self.horizon / self.steps}
        gnde = GraphNDE(self.features, self.taps, self.activation, self.time_basis, solver).double()
        gnde.reset_parameters(torch.Generator().manual_seed(seed))
        ts = torch.linspace(0, self.horizon, self.times, dtype=torch.float64)
        return gnde, FourierFeature(seed, features=self.features[0], modes=self.modes, decay=self.decay), ts


def check_double(where: str, gnde: GraphNDE, ts: Tensor) -> None:
    """Raise a `ValueError` unless weights and times are float64, as errors down to rounding need."""
    if any(p.dtype != torch.float64 for p in gnde.parameters()) or ts.dtype != torch.float64:
        raise ValueError(f"{where}: expected float64 weights and times (gnde.double()), found another dtype")


def check_graph_sizes(W: Graphon, sizes: Sequence[int]) -> None:
    """Raise a `ValueError` unless graphs of these sizes, drawn from W, show one order."""
    check_sizes(sizes)
    if len({n % W.blocks == 0 for n in sizes}) > 1:
        raise ValueError(f"sizes: expected all or none divisible by the {W.blocks} blocks, found {list(sizes)}")


def study_graphon(
    W: Graphon,
    sizes: Sequence[int],
    seeds: Sequence[int] = range(5),
    *,
    models: UntrainedGNDE | None = None,
    regime: str = "weighted",
    nodes: str = "midpoint",
    density: float = 1.0,
    keep_diagonal: bool = True,
) -> ConvergenceStudy:
    """The orders of the `split_error` of random GNDEs, beside those theory gives for W.

    Args:
        sizes: numbers of nodes. For graphons of blocks all or none must be divisible by the number of blocks, for the
            operator error vanishes where they are.
        seeds: each draws weights, features and (where the regime is random) a graph.
        models: what is drawn.
        regime, nodes, density, keep_diagonal: as for `sample_graph`.

    Raises:
        ValueError: for sizes some of which the blocks divide and some not.

    >>> from opnet.graphs.graphons import hsbm
    >>> study = study_graphon(hsbm(2), [8, 16, 24], seeds=[0], regime="cell")
    >>> study.exact["operator"]
    True
    """
    check_graph_sizes(W, sizes)
    models = UntrainedGNDE() if models is None else models

    def error_at(n: int, seed: int) -> dict[str, float]:
        gnde, x0, ts = models.draw(seed)
        return split_error(
            gnde, W, n, x0, ts, regime=regime, nodes=nodes, density=density, keep_diagonal=keep_diagonal, seed=seed
        )

    theory = W.exponents(sizes[0], regime=regime, keep_diagonal=keep_diagonal) if nodes == "midpoint" else {}
    expected = {part: exponent.value for part, exponent in theory.items()}
    tolerance = {part: exponent.tolerance for part, exponent in theory.items()}
    return measure_convergence(error_at, sizes, seeds, expected, tolerance=tolerance)
