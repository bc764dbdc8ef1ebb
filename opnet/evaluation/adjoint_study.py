"""How gradients of graph neural differential equations approach those of their graphon limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from opnet.evaluation.convergence import ConvergenceStudy, measure_convergence
from opnet.evaluation.graphon_study import UntrainedGNDE, check_double, check_graph_sizes, sparse_sizes
from opnet.graphs.graph import Graph
from opnet.graphs.graphon import Exponent, Graphon
from opnet.graphs.limit import Panels, integral_operator
from opnet.graphs.sampling import sample_graph
from opnet.linops.base import LinearOperator
from opnet.linops.function import FunctionOperator
from opnet.models.graph_nde import GraphNDE
from opnet.models.graphon_nde import GraphonNDE, NodeFunction

RANDOM_EXPONENTS = {"adjoint": Exponent(-0.5, 0.05), "parameter": Exponent(-1.0, 0.15)}
"""Of Bernoulli sampling, in alpha n."""


class Gradients(NamedTuple):
    """Gradients of `J = mean over the nodes, or integral over [0, 1], of 1/2 |X(T) - target|^2`.

    Attributes:
        adjoint: with respect to X(0), per unit of [0, 1] and so independent of n: n dJ/dX_i(0), or lambda(u) of
            `dJ = integral lambda(u) . dX(u, 0) du`; shape (point, feature).
        parameters: with respect to the weights, one after the other in the order of `gnde.parameters()`; shape (p,).
    """

    adjoint: Tensor
    parameters: Tensor


def graph_gradients(gnde: GraphNDE, graph: Graph, x0: Tensor, target: Tensor, ts: Tensor) -> Gradients:
    """`Gradients` of a GNDE at the nodes, by differentiating its solve.

    Args:
        x0, target: features of the nodes at ts[0], and those wanted at ts[-1]; shape (1, node, feature).
        ts: first and last time count.

    >>> from opnet.graphs.graphons import tent
    >>> graph, ts = sample_graph(tent(), 5), torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> x = torch.ones(1, 5, 2, dtype=torch.float64)
    >>> graph_gradients(GraphNDE((2, 3, 2)).double(), graph, x, 0 * x, ts).adjoint.shape
    torch.Size([5, 2])
    """
    start = x0.detach().requires_grad_()
    end = gnde(graph, start, ts[[0, -1]])[:, -1]
    adjoint, *weights = torch.autograd.grad(_loss(end, target).mean(), [start, *gnde.parameters()])
    return Gradients(graph.n * adjoint[0], parameters_to_vector(weights))


def limit_gradients(
    gnde: GraphNDE,
    W: Graphon,
    x0: NodeFunction,
    target: NodeFunction,
    ts: Tensor,
    points: Tensor,
    quadrature: Panels | None = None,
) -> Gradients:
    """`Gradients` of the Graphon-NDE, the adjoint at `points`.

    The adjoint solves `d lambda / dt = -(Phi'(X; T_W))^* lambda`, `lambda(T) = X(T) - target`, with adjoints in
    L2(0, 1), where T_W is its own (arXiv 2606.26662). It comes from differentiating the solve of the limit equation
    with T_W in the place of each transposed product. So it is found at carried points as it is at quadrature nodes, to
    the accuracy of the quadrature, where a discrete gradient divided by the weights would be smooth only on average;
    and it steps in time as the gradient of a GNDE by the same solver does. The gradient of the weights is that of the
    quadrature of J.

    Args:
        x0, target: the functions X(0) and the one wanted at ts[-1].
        ts: first and last time count.
        points: in [0, 1], shape (point,).
        quadrature: of `GraphonNDE`.
    """
    panels = Panels.smooth(W) if quadrature is None else quadrature
    ends, u = ts[[0, -1]], torch.cat([panels.nodes, points])
    start = x0(u).requires_grad_()
    end = gnde(Graph(_self_adjoint(integral_operator(W, panels, points))), start, ends)[:, -1]
    # The plain sum: each point starts with the derivative of its own loss, a function of u.
    (adjoint,) = torch.autograd.grad(_loss(end, target(u)).sum(), start)
    end = GraphonNDE(gnde, W, panels)(x0, ends)[:, -1]
    weights = torch.autograd.grad((_loss(end, target(panels.nodes)) @ panels.weights).sum(), list(gnde.parameters()))
    return Gradients(adjoint[0, len(panels.nodes) :], parameters_to_vector(weights))


def adjoint_error(
    gnde: GraphNDE,
    W: Graphon,
    n: int,
    x0: NodeFunction,
    target: NodeFunction,
    ts: Tensor,
    *,
    regime: str = "weighted",
    nodes: str = "midpoint",
    density: float = 1.0,
    keep_diagonal: bool = True,
    seed: int = 0,
) -> dict[str, float]:
    """How far the gradients of a GNDE on n nodes are from those of its graphon limit.

        adjoint   = ( mean_i |n dJ/dX_i(0) - lambda(x_i)|^2 )^(1/2),
        parameter = |dJ_n/dtheta - dJ/dtheta| / |dJ/dtheta|,

    for J and lambda of `Gradients`. Time stepping is the model's own on both, so that its error nearly cancels.

    Args:
        gnde: with float64 weights.
        x0, target: features at points, shape (point,) -> (1, point, feature).
        ts: float64; first and last time count.
        regime, nodes, density, keep_diagonal, seed: as for `sample_graph`.

    Raises:
        ValueError: for weights or times that are not float64, and where a finer quadrature moves the limit by more than
            a twentieth of the error.
    """
    check_double("adjoint_error", gnde, ts)
    graph = sample_graph(W, n, regime=regime, nodes=nodes, density=density, keep_diagonal=keep_diagonal, seed=seed)
    u = graph.positions
    assert u is not None
    found = graph_gradients(gnde, graph, x0(u), target(u), ts)
    limit = limit_gradients(gnde, W, x0, target, ts, u)
    errors = _distance(found, limit)
    # The limit again by a finer quadrature, at some of the nodes: what the reference itself is worth.
    some = slice(None, None, max(1, n // 64))
    finer = limit_gradients(gnde, W, x0, target, ts, u[some], Panels.smooth(W, order=18))
    for part, doubt in _distance(limit._replace(adjoint=limit.adjoint[some]), finer).items():
        if doubt > 0.05 * errors[part]:
            raise ValueError(
                f"x0, target: expected features that the reference resolves, but the limit's {part} gradient is in "
                f"doubt by {doubt:.1e}, the error on {n} nodes being {errors[part]:.1e}; take fewer modes, a stronger "
                "decay, or fewer nodes"
            )
    return errors


def study_adjoint(
    W: Graphon,
    sizes: Sequence[int],
    seeds: Sequence[int] = range(5),
    *,
    models: UntrainedGNDE | None = None,
    regime: str = "weighted",
    nodes: str = "midpoint",
    sparsity: float = 0.0,
    keep_diagonal: bool = True,
) -> ConvergenceStudy:
    """The orders of the `adjoint_error` of random GNDEs, beside those theory gives for W.

    A weighted graph's gradients are as near to the limit's as its states are (the nodal error); where a singularity of
    W makes that n^-1.5 or so, the n^-2 of the smooth part still bends the adjoint's order at thousands of nodes, more
    than the tolerance allows with some models. On a random graph the adjoint sees the fluctuation of each node's edges,
    (alpha n)^-1/2, but the gradient of the weights sums over nodes, where it averages out: left are its square, of
    order (alpha n)^-1 on every graph, and its sum over all edges, of order n^-1 alpha^-1/2 and random. So a single
    graph's gradient error scatters by a third or more at every n. Orders come from geometric means over seeds, which
    the constants of different models and a scatter alike at all n do not bend; twenty seeds on four sizes tell the
    second order to .05.

    Args:
        sizes: numbers of nodes. For graphons of blocks all or none must be divisible by the number of blocks.
        seeds: each draws weights, features, target and (where the regime is random) a graph.
        models: what is drawn.
        regime, nodes, keep_diagonal: as for `sample_graph`.
        sparsity: s of the density alpha = n^-s; the orders are in alpha n. Take n so large that alpha n >= 30.

    Raises:
        ValueError: for sizes some of which the blocks divide and some not.

    >>> from opnet.graphs.graphons import tent
    >>> study_adjoint(tent(), [8, 16, 24], seeds=[0], models=UntrainedGNDE(modes=2, steps=2))["adjoint"].agrees
    True
    """
    check_graph_sizes(W, sizes)
    models = UntrainedGNDE() if models is None else models
    options: dict[str, Any] = {"regime": regime, "nodes": nodes, "keep_diagonal": keep_diagonal}
    nodes_of = sparse_sizes(sizes, sparsity)

    def error_at(size: float, seed: int) -> dict[str, float]:
        n = nodes_of[size]
        gnde, x0, ts = models.draw(seed)
        target = replace(x0, sample=1)
        return adjoint_error(gnde, W, n, x0, target, ts, density=n**-sparsity, seed=seed, **options)

    theory = _exponents(W, sizes[0], **options)
    expected = {part: exponent.value for part, exponent in theory.items()}
    tolerance = {part: exponent.tolerance for part, exponent in theory.items()}
    return measure_convergence(error_at, list(nodes_of), seeds, expected, tolerance=tolerance)


def _exponents(W: Graphon, n: int, *, regime: str, nodes: str, keep_diagonal: bool) -> dict[str, Exponent]:
    if nodes != "midpoint":
        return {}
    if regime == "random":
        return RANDOM_EXPONENTS
    nodal = W.exponents(n, regime=regime, keep_diagonal=keep_diagonal).get("nodal")
    return {} if nodal is None else {"adjoint": nodal, "parameter": nodal}


def _loss(end: Tensor, target: Tensor) -> Tensor:
    """# shape: (1, point, feature) -> (1, point)"""
    return 0.5 * (end - target).square().sum(-1)


def _distance(found: Gradients, limit: Gradients) -> dict[str, float]:
    adjoint, parameters = (a - b for a, b in zip(found, limit, strict=True))
    return {
        "adjoint": float(adjoint.square().sum(-1).mean().sqrt()),
        "parameter": float(parameters.norm() / limit.parameters.norm()),
    }


def _self_adjoint(T: LinearOperator) -> LinearOperator:
    """T, with T itself in the place of its transpose in backward passes: adjoints in L2 of a symmetric kernel."""
    return FunctionOperator(lambda x: _SelfAdjoint.apply(x, T), T.in_shape, symmetric=True, dtype=T.dtype)


class _SelfAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, T: LinearOperator) -> Tensor:
        ctx.operator = T
        return T.apply(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.operator.apply(gradient), None
