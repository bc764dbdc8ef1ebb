"""Discretise-then-optimise against optimise-then-discretise, as the number of explicit Euler steps grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from opnet.evaluation.convergence import ConvergenceStudy, measure_convergence
from opnet.evaluation.graphon_study import UntrainedGNDE, check_double
from opnet.graphs.graph import Graph
from opnet.graphs.graphon import Graphon
from opnet.graphs.sampling import sample_graph
from opnet.models.graph_nde import GraphNDE
from opnet.solvers.ode.adjoints.captured import pull
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.methods.explicit import Euler
from opnet.solvers.ode.solve import solve_ode

EXPECTED = {"hidden state": -1.0, "per-step parameters": -2.0, "shared parameters": -1.0}
TOLERANCE = 0.1


class EulerGradients(NamedTuple):
    """Gradients of a loss J of x_M, with M explicit Euler steps `x_{k+1} = x_k + dt f(t_k, x_k; theta_k)`.

    Attributes:
        states: p_k, of x_k, k = 0 ... M; shape (M + 1, *state).
        parameters: of theta_k, where every step has weights theta_k = theta of its own, k = 0 ... M - 1; their sum over
            k is the gradient of the weights theta that the steps share; shape (M, p).
    """

    states: Tensor
    parameters: Tensor


def euler_gradients(
    f: Callable[[Tensor, Tensor], Tensor],
    parameters: Sequence[Tensor],
    ts: Tensor,
    xs: Tensor,
    terminal: Tensor,
    *,
    discretised_first: bool,
) -> EulerGradients:
    """Step the adjoint back along the states of explicit Euler, from `p_M = dJ/dx_M`:

        p_k = p_{k+1} + dt f_x(t_j, x_j)^T p_{k+1},    dJ/dtheta_k = dt f_theta(t_j, x_j)^T p_{k+1}.

    Discretise-then-optimise (DTO) differentiates the steps taken: j = k. Optimise-then-discretise (OTD) takes Euler
    steps of the adjoint equation `p' = -f_x^T p` backward in time, explicit from the end that they start at: j = k + 1.
    With j = k it would be DTO. (arXiv 2606.26662; Chen et al., NeurIPS 2018, for the adjoint equation.)

    Args:
        f: the vector field, of (t, x).
        parameters: theta, which f uses.
        ts: t_0 ... t_M, equal steps or not; shape (M + 1,).
        xs: x_0 ... x_M; shape (M + 1, *state).
        terminal: dJ/dx_M.
        discretised_first: DTO if true, OTD if not.

    >>> a = torch.tensor(-1.0, requires_grad=True)
    >>> ts = torch.tensor([0.0, 0.5, 1.0])
    >>> xs = torch.tensor([1.0, 0.5, 0.25])
    >>> dto = euler_gradients(lambda t, x: a * x, [a], ts, xs, torch.tensor(1.0), discretised_first=True)
    >>> dto.states, dto.parameters.sum()  # of (1 + a / 2)^2
    (tensor([0.2500, 0.5000, 1.0000]), tensor(0.5000))
    """
    states, local = [terminal], []
    for k in reversed(range(len(ts) - 1)):
        j = k if discretised_first else k + 1
        with torch.enable_grad():
            x = xs[j].detach().requires_grad_()
            slope = f(ts[j], x)
        pulled = pull([slope], [x, *parameters], [(ts[k + 1] - ts[k]) * states[-1]])
        of_x, *of_theta = (
            torch.zeros_like(y) if g is None else g for y, g in zip((x, *parameters), pulled, strict=True)
        )
        states.append(states[-1] + of_x)
        local.append(parameters_to_vector(of_theta))
    return EulerGradients(torch.stack(states[::-1]), torch.stack(local[::-1]))


def dto_otd_differences(
    gnde: GraphNDE, graph: Graph, x0: Tensor, target: Tensor, ts: Tensor, steps: int
) -> dict[str, float]:
    """How far optimise-then-discretise is from discretise-then-optimise, with M = `steps` explicit Euler steps.

    For J the mean over nodes of 1/2 |X(T) - target|^2 and `euler_gradients` of both kinds along the same states:

        hidden state        = max_k ( mean_i |n (p_k - p'_k)_i|^2 )^(1/2)       O(1/M)
        per-step parameters = max_k |dJ/dtheta_k - (dJ/dtheta_k)'|              O(1/M^2)
        shared parameters   = |sum_k of the same|                               O(1/M)

    (arXiv 2606.26662, for smooth activations and coefficients: of a field with jumps in time only some steps are so
    near, and a kink costs the order where the states cross it.)

    Args:
        gnde: with float64 weights; its own solver is not used.
        x0, target: features of the nodes at ts[0], and those wanted at ts[-1]; shape (1, node, feature).
        ts: float64; first and last time count.
        steps: M.

    Raises:
        ValueError: for weights or times that are not float64, or no steps.
    """
    check_double("dto_otd_differences", gnde, ts)
    if steps < 1:
        raise ValueError(f"dto_otd_differences.steps: expected at least 1, found {steps}")
    f, parameters = gnde.vector_field(graph), list(gnde.parameters())
    times = torch.lerp(ts[0], ts[-1], torch.arange(steps + 1, dtype=ts.dtype, device=ts.device) / steps)
    with torch.no_grad():
        xs = solve_ode(f, x0, times, Euler(), control=PID(joint=True)).ys
    terminal = (xs[-1] - target) / graph.n
    dto, otd = (euler_gradients(f, parameters, times, xs, terminal, discretised_first=first) for first in (True, False))
    states, local = dto.states - otd.states, dto.parameters - otd.parameters
    return {
        "hidden state": float((graph.n * states).square().sum(-1).mean(-1).max().sqrt()),
        "per-step parameters": float(local.norm(dim=1).max()),
        "shared parameters": float(local.sum(0).norm()),
    }


def study_dto_otd(
    W: Graphon,
    steps: Sequence[int] = (16, 32, 64, 128, 256, 512),
    seeds: Sequence[int] = range(5),
    *,
    n: int = 50,
    models: UntrainedGNDE | None = None,
) -> ConvergenceStudy:
    """The orders in the number of steps of the `dto_otd_differences` of random GNDEs, beside those of theory.

    Args:
        W: what the weighted graph is sampled from.
        steps: numbers M of explicit Euler steps.
        seeds: each draws weights, features and target.
        n: number of nodes.
        models: what is drawn.

    >>> from opnet.graphs.graphons import tent
    >>> study_dto_otd(tent(), [16, 32, 64], seeds=[0], n=10).agrees
    {'hidden state': True, 'per-step parameters': True, 'shared parameters': True}
    """
    models = UntrainedGNDE() if models is None else models
    graph = sample_graph(W, n)
    u = graph.positions
    assert u is not None

    def difference(M: int, seed: int) -> dict[str, float]:
        gnde, x0, ts = models.draw(seed)
        return dto_otd_differences(gnde, graph, x0(u), replace(x0, sample=1)(u), ts, M)

    return measure_convergence(difference, steps, seeds, EXPECTED, tolerance=dict.fromkeys(EXPECTED, TOLERANCE))
