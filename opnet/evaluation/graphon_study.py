"""How graph neural differential equations approach their graphon limit, error by error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from opnet.evaluation.convergence import ConvergenceStudy, check_sizes, measure_convergence
from opnet.graphs.features import FourierFeature
from opnet.graphs.graphon import Exponent, Graphon
from opnet.graphs.limit import Panels
from opnet.graphs.sampling import sample_graph
from opnet.models.graph_nde import GraphNDE
from opnet.models.graphon_nde import GraphonNDE

PARTS = ("feature", "operator", "nodal", "time", "total")
NORMS = ("l2", "max")
REFINEMENT = 8
"""Equal parts of each cell on which the limit of a rough graphon is solved."""


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
    norm: str = "l2",
) -> dict[str, float]:
    """The error of a GNDE on n nodes against its graphon limit, split by where it comes from.

    X solves the limit equation from x0, Z the limit equation from the step function g_n of the node values, X_n is the
    step function of the GNDE's solution, and X_n* the same with finer time steps:

        feature  = sup_t ||Z - X||,    operator = sup_t ||X_n - Z||,    time = sup_t ||X_n - X_n*||,
        nodal    = sup_t ( mean_i |X_n,i - X(x_i)|^2 )^(1/2),    total = sup_t ||X_n - X||,

    norms in L2(0, 1) over all features, by Gauss quadrature on the merged breakpoints of the step functions and the
    graphon (exact there to the order of the quadrature), the supremum over `ts`. Time stepping is the model's own on X,
    Z and X_n, so that its error nearly cancels in all parts but `time`.

    The limit of a graphon that is smooth between known points is solved to rounding; that of a rough one on q = 8 parts
    of each cell, which leaves out the share q^-p of an error of order p at every n alike: it bends no slope.

    Args:
        gnde: with float64 weights.
        x0: features at points, shape (point,) -> (1, point, feature).
        ts: float64.
        regime, nodes, density, keep_diagonal, seed: as for `sample_graph`.
        norm: "l2", or "max": the largest over u (in place of the mean over i for the nodal error too).

    Raises:
        ValueError: for weights or times that are not float64, and where a finer quadrature of the limit moves X by more
            than a twentieth of the nodal error (of a rough graphon: of the total error).
    """
    check_double("split_error", gnde, ts)
    if norm not in NORMS:
        raise ValueError(f"norm: expected one of {', '.join(NORMS)}, found {norm!r}")
    with torch.no_grad():
        graph = sample_graph(W, n, regime=regime, nodes=nodes, density=density, keep_diagonal=keep_diagonal, seed=seed)
        x = graph.positions
        assert x is not None
        steps = x0(x)
        panels = Panels.merged(W, n, refinement=REFINEMENT if W.rough else 1)
        u, w = panels.nodes, panels.weights
        # No node of a panel lies on a cell's edge, so rounding cannot move it to another cell.
        cell = (u * n).long().clamp(0, n - 1)
        discrete = gnde(graph, steps, ts)
        X_n = discrete[:, :, cell]
        Z = GraphonNDE(gnde, W, panels)(lambda _: steps[:, cell], ts)
        X = GraphonNDE(gnde, W, panels if W.rough else None)(x0, ts, torch.cat([u, x]))
        X_quadrature, X_nodes = X.split([len(u), n], dim=2)
        even = torch.full_like(x, 1 / n)
        errors = {
            "feature": _supremum(Z - X_quadrature, w, norm),
            "operator": _supremum(X_n - Z, w, norm),
            "nodal": _supremum(discrete - X_nodes, even, norm),
            "time": _supremum(discrete - finer_in_time(gnde)(graph, steps, ts), even, norm),
            "total": _supremum(X_n - X_quadrature, w, norm),
        }
        # The limit again by a finer quadrature, at some of the nodes: what the reference itself is worth.
        some = slice(None, None, max(1, n // 64))
        finer = Panels.merged(W, n, refinement=2 * REFINEMENT) if W.rough else Panels.smooth(W, order=18)
        again = GraphonNDE(gnde, W, finer)(x0, ts, x[some])
        doubt = _supremum(again - X_nodes[:, :, some], torch.full_like(x[some], 1 / again.shape[2]), norm)
    part = "total" if W.rough else "nodal"
    if doubt > 0.05 * errors[part]:
        raise ValueError(
            f"x0: expected a feature that the reference resolves, but the limit is in doubt by {doubt:.1e}, the {part} "
            f"error on {n} nodes being {errors[part]:.1e}; take fewer modes, a stronger decay, or fewer nodes"
        )
    return errors


def finer_in_time(gnde: GraphNDE) -> GraphNDE:
    """The same weights, solved with half the steps' length, or tolerances 32 times smaller."""
    options = dict(gnde.solver_options)
    if "step" in options:
        options["step"] /= 2
    else:
        options |= {"rtol": options.get("rtol", 1e-5) / 32, "atol": options.get("atol", 1e-7) / 32}
    finer = copy(gnde)
    finer.solver_options = options
    return finer


def _supremum(difference: Tensor, weights: Tensor, norm: str = "l2") -> float:
    """max over time of the norm.  # shape: (1, time, point, feature), (point,)"""
    squares = difference.square().sum(-1)
    return float((squares @ weights if norm == "l2" else squares.amax(-1)).max().sqrt())


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
    if len({W.aligned(n) for n in sizes}) > 1:
        raise ValueError(f"sizes: expected all or none divisible by the {W.blocks} blocks, found {list(sizes)}")


def study_graphon(
    W: Graphon,
    sizes: Sequence[int],
    seeds: Sequence[int] = range(5),
    *,
    models: UntrainedGNDE | None = None,
    regime: str = "weighted",
    nodes: str = "midpoint",
    sparsity: float = 0.0,
    keep_diagonal: bool = True,
    norm: str = "l2",
    bound: bool = False,
) -> ConvergenceStudy:
    """The orders of the `split_error` of random GNDEs, beside those theory gives for W.

    Args:
        sizes: numbers of nodes. For graphons of blocks all or none must be divisible by the number of blocks, for the
            operator error vanishes where they are.
        seeds: each draws weights, features and (where the regime is random) a graph.
        models: what is drawn.
        regime, nodes, keep_diagonal: as for `sample_graph`.
        sparsity: s of the density alpha = n^-s; sizes and orders are then in alpha n. Take n so large that
            alpha n >= 30.
        norm: as for `split_error`.
        bound: add the part "bound", that of `opnet.evaluation.graphon_bound.a_priori_bound`, which the total error lies
            below at every size; in the norm "l2" alone.

    Raises:
        ValueError: for sizes some of which the blocks divide and some not, and a bound in another norm.

    >>> from opnet.graphs.graphons import hsbm
    >>> study = study_graphon(hsbm(2), [8, 16, 24], seeds=[0], regime="cell")
    >>> study.exact["operator"]
    True
    """
    from opnet.evaluation.graphon_bound import a_priori_bound

    check_graph_sizes(W, sizes)
    if bound and norm != "l2":
        raise ValueError(f"bound: expected the norm 'l2', found {norm!r}")
    models = UntrainedGNDE() if models is None else models
    options: dict[str, Any] = {"regime": regime, "nodes": nodes, "keep_diagonal": keep_diagonal}
    nodes_of = sparse_sizes(sizes, sparsity)

    def error_at(size: float, seed: int) -> dict[str, float]:
        n = nodes_of[size]
        gnde, x0, ts = models.draw(seed)
        sampling = {**options, "density": n**-sparsity, "seed": seed}
        errors = split_error(gnde, W, n, x0, ts, norm=norm, **sampling)
        if bound:
            errors["bound"] = a_priori_bound(gnde, W, n, x0, ts, observed=errors["total"], **sampling).value
        return errors

    theory: dict[str, Exponent] = {}
    if nodes == "midpoint" and regime != "published":
        theory = W.exponents(sizes[0], regime=regime, keep_diagonal=keep_diagonal)
    if sparsity and "feature" in theory:  # reading x0 at the nodes knows no edges: it goes by n
        order, tolerance = theory["feature"]
        theory = {**theory, "feature": Exponent(order / (1 - sparsity), tolerance / (1 - sparsity))}
    if norm == "max":  # cells across a block's end, or where a step is, do not grow smaller in it
        theory = {part: exponent for part, exponent in theory.items() if part == "nodal" and W.blocks == 1}
    expected = {part: exponent.value for part, exponent in theory.items()}
    tolerances = {part: exponent.tolerance for part, exponent in theory.items()}
    return measure_convergence(error_at, list(nodes_of), seeds, expected, tolerance=tolerances)


def sparse_sizes(sizes: Sequence[int], sparsity: float) -> dict[float, int]:
    """What orders are measured in, alpha n with alpha = n^-sparsity -> n.

    >>> sparse_sizes([100, 400], 0.5)
    {10.0: 100, 20.0: 400}
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity: expected a number in [0, 1), found {sparsity}")
    return {n ** (1 - sparsity) if sparsity else n: n for n in sizes}
