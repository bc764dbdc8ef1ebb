"""`graph_trajectories`: dynamics on graphs drawn from a graphon, or on the graphon itself, as data for graph models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from opnet.data.batch import ArrayDataset
from opnet.graphs.features import FourierFeature
from opnet.graphs.graphon import Graphon
from opnet.graphs.limit import Panels, integral_operator
from opnet.graphs.sampling import sample_graph
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.pde.graph_dynamics import GraphDynamics

TRUTHS = ("graph", "limit")


def graph_trajectories(
    dynamics: GraphDynamics,
    W: Graphon,
    n: int,
    samples: Sequence[int],
    times: Sequence[float],
    *,
    truth: str = "graph",
    seed: int = 0,
    regime: str = "weighted",
    modes: int = 5,
    decay: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> ArrayDataset:
    """Trajectories of `dynamics` at n nodes drawn from W.

    Initial states are made of `FourierFeature(seed, sample)` at the nodes: the same functions on every graph. Solved in
    float64 by Dopri5 at rtol 1e-9.

    Args:
        samples: which samples of the seed; training and test take different ones.
        times: from the initial time on; the first is that of the inputs.
        truth: "graph": the solution on the sampled graph itself, against which an error is a learning error; "limit":
            the solution of the graphon limit at the nodes' positions, against which it is learning and graphon error.
        seed: of the initial values, and of the graph where the regime is random.
        regime: as for `sample_graph`, nodes at midpoints.
        modes, decay: of the random functions.
        dtype: of the data set and its graph.

    Returns:
        inputs (sample, node, feature), targets (sample, time, node, feature), domain the graph.

    Raises:
        ValueError: for an unknown truth, or "limit" for dynamics that no quadrature of W alone gives.
        SolveError: naming the sample, where the solve fails.

    >>> from opnet.graphs.graphons import tent
    >>> from opnet.solvers.pde.kuramoto import Kuramoto
    >>> data = graph_trajectories(Kuramoto(), tent(), 20, range(3), (0.0, 1.0))
    >>> data.inputs.shape, data.targets.shape
    (torch.Size([3, 20, 2]), torch.Size([3, 2, 20, 2]))
    """
    if truth not in TRUTHS:
        raise ValueError(f"truth: expected one of {', '.join(TRUTHS)}, found {truth!r}")
    if truth == "limit" and not dynamics.has_limit:
        raise ValueError(f"truth: 'limit' expects dynamics with products alone, found {dynamics.equation}")
    graph = sample_graph(W, n, regime=regime, seed=seed)
    assert graph.positions is not None
    first = FourierFeature(seed, features=dynamics.random_functions, modes=modes, decay=decay)

    def initial(u: Tensor) -> Tensor:
        return dynamics.initial(torch.cat([replace(first, sample=int(sample))(u) for sample in samples]))

    shift, u = graph.shift, graph.positions
    if truth == "limit":
        panels = Panels.smooth(W)
        shift, u = integral_operator(W, panels, u), torch.cat([panels.nodes, u])
    ts = torch.as_tensor(times, dtype=torch.float64)
    start = initial(u)
    states = solve_ode(dynamics.vector_field(shift), start, ts, rtol=1e-9, atol=1e-11).ys.transpose(0, 1)
    domain = sample_graph(W, n, regime=regime, seed=seed, dtype=dtype)
    return ArrayDataset(start[:, -n:].to(dtype), states[:, :, -n:].to(dtype), domain, times=ts.to(dtype))
