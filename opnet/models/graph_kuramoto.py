"""`GraphKuramoto`: oscillators on a graph, coupled by the sine of their differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from opnet.core.registry import register
from opnet.graphs.graph import Graph
from opnet.models.blocks.strength import strength
from opnet.models.graph_ode import GraphODE
from opnet.solvers.pde.reaction_diffusion import sine_coupling


@register("model", "GraphKuramoto")
class GraphKuramoto(GraphODE):
    """`dX_i/dt = omega_i + K sum_j S_ij sin(X_j - X_i)` for each feature, `omega = w X(0)`.

    Coupling is bounded, so that nodes synchronise without becoming alike: the frequencies keep them apart.

    Args:
        features: features of X, phases in radians.
        coupling: K, of unit 1 / time.
        frequency: w, of unit 1 / time.
        learnable: whether K and w are learned, starting there.
        solver: see `GraphODE`.

    Raises:
        ValueError: for an argument out of range; on a call, as `GraphODE`.
        SolveError: on a call, naming the sample, if the solve fails.

    Source: Nguyen et al., From Coupled Oscillators to Graph Neural Networks, 2023, arXiv 2311.03260, whose omega is
    X(0).

    >>> GraphKuramoto(8, coupling=2.0).coupling
    Parameter containing:
    tensor(2., requires_grad=True)
    """

    registered_name = "GraphKuramoto"
    coupling: Tensor
    frequency: Tensor

    def __init__(
        self,
        features: int,
        coupling: float = 1.0,
        frequency: float = 1.0,
        learnable: bool = True,
        solver: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(features, solver)
        self.arguments = {
            "features": features,
            "coupling": coupling,
            "frequency": frequency,
            "learnable": learnable,
            "solver": None if solver is None else dict(solver),
        }
        strength(self, "coupling", coupling, learnable)
        strength(self, "frequency", frequency, learnable)

    def vector_field(self, graph: Graph, x0: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        omega = self.frequency * x0
        # A row a feature, as the coupling takes them.  # shape: (batch, feature, node)
        return lambda t, X: omega + self.coupling * sine_coupling(graph.shift, X.mT).mT
