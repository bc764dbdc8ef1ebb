"""`GraphODE`: what models that are differential equations on a graph's nodes have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from opnet.core.registry import build
from opnet.core.typing import Float
from opnet.graphs.graph import Graph
from opnet.models.base import Model
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.methods import torchdiffeq  # noqa: F401  (registers)
from opnet.solvers.ode.solve import solve_ode

_OPTIONS = ("rtol", "atol", "step", "max_steps")


class GraphODE(Model):
    """`dX/dt = f(t, X)`, `X(0) = x0`, on the nodes of a graph; subclasses give f by `vector_field`.

    The batch and the nodes are one state, with one step for all.

    Args:
        features: features of X, and of dX/dt.
        solver: `{"method": name of a stepper}`, with its arguments, and `rtol`, `atol`, `step`, `max_steps` of
            `opnet.solve_ode`. None: Dopri5 at rtol 1e-5, atol 1e-7.

    Raises:
        ValueError: for no features or an unknown solver; on a call, for a signal that does not fit the graph or the
            features.
        SolveError: on a call, naming the sample, if the solve fails.
    """

    domain = "graph"

    def __init__(self, features: int, solver: Mapping[str, Any] | None) -> None:
        super().__init__()
        if features < 1:
            raise ValueError(f"features: expected at least 1, found {features}")
        self.features = features
        options = dict(solver or {})
        self.solver_options = {name: options.pop(name) for name in _OPTIONS if name in options}
        self.stepper = build("stepper", options.pop("method", "Dopri5"), **options)

    @abstractmethod
    def vector_field(self, graph: Graph, x0: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """f(t, X) for signals X (batch, node, feature) on the graph, of the solution that starts at x0."""

    def forward(
        self, graph: Graph, x0: Float[Tensor, "batch node feature"], ts: Float[Tensor, " time"]
    ) -> Float[Tensor, "batch time node feature"]:
        if tuple(x0.shape[1:]) != (graph.n, self.features):
            raise ValueError(f"x0: expected (batch, {graph.n}, {self.features}), found {tuple(x0.shape)}")
        expected, found = (graph.shift.dtype, graph.shift.device), (x0.dtype, x0.device)
        if found != expected:
            raise ValueError(
                f"x0: expected {expected[0]} on {expected[1]}, the graph's (see `Graph.to`), found {found[0]} on "
                f"{found[1]}"
            )
        f = self.vector_field(graph, x0)
        return solve_ode(f, x0, ts, self.stepper, control=PID(joint=True), **self.solver_options).ys.transpose(0, 1)
