"""Reaction and diffusion on graphs and on their graphon limits: data for graph models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.data.batch import ArrayDataset
from opnet.graphs.features import FourierFeature
from opnet.graphs.graphon import Graphon
from opnet.graphs.limit import Panels, integral_operator
from opnet.graphs.sampling import sample_graph
from opnet.linops.base import LinearOperator
from opnet.solvers.ode.solve import solve_ode

COUPLINGS = ("sine", "linear", "consensus")
REACTIONS = ("none", "allen_cahn")
TRUTHS = ("graph", "limit")


@register("problem", "reaction_diffusion")
@dataclass(frozen=True)
class ReactionDiffusion:
    """`u_i' = sum_j S_ij D(u_j - u_i) + R(u_i)` with S = A / (alpha n); all quantities without units.

    Args:
        coupling: D: "sine" (sin x), "linear" (x) or "consensus" (x / (1 + x^2)). The first two cost products with S,
            the last all pairs of nodes.
        reaction: R: "none", or "allen_cahn" (u - u^3).

    Raises:
        ValueError: for a name that is not among these.
    """

    coupling: str = "sine"
    reaction: str = "none"

    def __post_init__(self) -> None:
        for name, value, known in (("coupling", self.coupling, COUPLINGS), ("reaction", self.reaction, REACTIONS)):
            if value not in known:
                raise ValueError(f"ReactionDiffusion.{name}: expected one of {', '.join(known)}, found {value!r}")

    @property
    def equation(self) -> str:
        D = {"sine": "sin(x)", "linear": "x", "consensus": "x / (1 + x^2)"}[self.coupling]
        R = {"none": "", "allen_cahn": " + u_i - u_i^3"}[self.reaction]
        return f"u_i' = sum_j S_ij D(u_j - u_i){R}, D(x) = {D}"

    def vector_field(self, shift: LinearOperator) -> Callable[[Tensor, Tensor], Tensor]:
        """`f(t, u)` for u (sample, node)."""
        degree = shift.apply(torch.ones(shift.in_shape, dtype=shift.dtype, device=shift.device))
        matrix = shift.to_dense() if self.coupling == "consensus" else None

        def field(t: Tensor, u: Tensor) -> Tensor:
            if self.coupling == "sine":  # sin(v - u) = sin v cos u - cos v sin u
                sine, cosine = torch.sin(u), torch.cos(u)
                change = shift.apply(sine) * cosine - shift.apply(cosine) * sine
            elif self.coupling == "linear":
                change = shift.apply(u) - degree * u
            else:
                assert matrix is not None
                change = torch.stack([(matrix * _consensus(one[None, :] - one[:, None])).sum(1) for one in u])
            return change + u - u**3 if self.reaction == "allen_cahn" else change

        return field


def _consensus(x: Tensor) -> Tensor:
    return x / (1 + x**2)


def reaction_diffusion_data(
    dynamics: ReactionDiffusion,
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

    Initial values are `FourierFeature(seed, sample)` at the nodes: the same functions on every graph. Solved in float64
    by Dopri5 at rtol 1e-9.

    Args:
        samples: which samples of the seed; training and test take different ones.
        times: from the initial time on; the first is that of the inputs.
        truth: "graph": the solution on the sampled graph itself, against which an error is a learning error; "limit":
            the solution of the graphon limit at the nodes' positions, against which it is learning and graphon error.
        seed: of the initial values, and of the graph where the regime is random.
        regime: as for `sample_graph`, nodes at midpoints.
        modes, decay: of the initial values.
        dtype: of the data set and its graph.

    Returns:
        inputs (sample, node, 1), targets (sample, time, node, 1), domain the graph.

    Raises:
        ValueError: for an unknown truth, or "consensus" in the limit, which no quadrature of W alone gives.
        SolveError: naming the sample, where the solve fails.

    >>> from opnet.graphs.graphons import tent
    >>> data = reaction_diffusion_data(ReactionDiffusion(), tent(), 20, range(3), (0.0, 1.0))
    >>> data.inputs.shape, data.targets.shape
    (torch.Size([3, 20, 1]), torch.Size([3, 2, 20, 1]))
    """
    if truth not in TRUTHS:
        raise ValueError(f"truth: expected one of {', '.join(TRUTHS)}, found {truth!r}")
    if truth == "limit" and dynamics.coupling == "consensus":
        raise ValueError("truth: 'limit' expects a sine or linear coupling, found 'consensus'")
    graph = sample_graph(W, n, regime=regime, seed=seed)
    assert graph.positions is not None
    first = FourierFeature(seed, modes=modes, decay=decay)

    def initial(u: Tensor) -> Tensor:
        return torch.cat([replace(first, sample=int(sample))(u)[..., 0] for sample in samples])

    shift, u = graph.shift, graph.positions
    if truth == "limit":
        panels = Panels.smooth(W)
        shift, u = integral_operator(W, panels, u), torch.cat([panels.nodes, u])
    ts = torch.as_tensor(times, dtype=torch.float64)
    start = initial(u)
    solution = solve_ode(dynamics.vector_field(shift), start, ts, rtol=1e-9, atol=1e-11).ys
    targets = solution[:, :, -n:].transpose(0, 1)[..., None].to(dtype)
    domain = sample_graph(W, n, regime=regime, seed=seed, dtype=dtype)
    return ArrayDataset(start[:, -n:, None].to(dtype), targets, domain, times=ts.to(dtype))
