"""`GraphReactionDiffusion`: diffusion on a graph against a reaction that keeps nodes apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from opnet.core.registry import register
from opnet.graphs.graph import Graph
from opnet.models.blocks.graph_averaging import GraphAveraging
from opnet.models.blocks.strength import strength
from opnet.models.graph_ode import GraphODE

LOCAL: dict[str, Callable[[Tensor], Tensor]] = {
    "fisher": lambda X: X * (1 - X),
    "allen_cahn": lambda X: X * (1 - X**2),
    "zeldovich": lambda X: X**2 * (1 - X),
}
REACTIONS = (*LOCAL, "blurring_sharpening", "source", "relaxation")


@register("model", "GraphReactionDiffusion")
class GraphReactionDiffusion(GraphODE):
    """`dX/dt = a (A X - X) + b R(X)`, A as in `GraphDiffusion`.

    R(X), entry by entry: "fisher" X (1 - X); "allen_cahn" X (1 - X^2); "zeldovich" X^2 (1 - X); and between nodes:
    "blurring_sharpening" (A - A^2) X; or "source" X(0); or "relaxation" X(0) - X, by which what a node holds of nodes
    far away stays small however long the horizon: it ends at b ((a + b) I - a A)^-1 X(0), personalised PageRank. The
    cubic and square ones run away to infinity where X is negative or large enough; keep b and the horizon small.

    Args:
        features: features of X.
        reaction: R.
        attention, heads: what A is; see `GraphDiffusion`.
        diffusion: a, of unit 1 / time.
        rate: b, of unit 1 / time.
        learnable: whether a and b are learned, starting there.
        solver: see `GraphODE`.

    Raises:
        ValueError: for an argument out of range; on a call, as `GraphDiffusion`.
        SolveError: on a call, naming the sample, if the solve fails.

    Source: Choi et al., GREAD: Graph Neural Reaction-Diffusion Networks, 2022, arXiv 2211.14208, section 3; of the
    relaxation, Gasteiger et al., Predict then Propagate, 2019, arXiv 1810.05997, equation 4, in continuous time.

    >>> GraphReactionDiffusion(8, "fisher").n_parameters
    2
    """

    registered_name = "GraphReactionDiffusion"
    diffusion: Tensor
    rate: Tensor

    def __init__(
        self,
        features: int,
        reaction: str = "allen_cahn",
        attention: str = "none",
        heads: int = 1,
        diffusion: float = 1.0,
        rate: float = 0.1,
        learnable: bool = True,
        solver: Mapping[str, Any] | None = None,
    ) -> None:
        if reaction not in REACTIONS:
            raise ValueError(f"reaction: expected one of {', '.join(REACTIONS)}, found {reaction!r}")
        super().__init__(features, solver)
        self.arguments = {
            "features": features,
            "reaction": reaction,
            "attention": attention,
            "heads": heads,
            "diffusion": diffusion,
            "rate": rate,
            "learnable": learnable,
            "solver": None if solver is None else dict(solver),
        }
        self.reaction = reaction
        self.averaging = GraphAveraging(features, attention, heads)
        strength(self, "diffusion", diffusion, learnable)
        strength(self, "rate", rate, learnable)

    def vector_field(self, graph: Graph, x0: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        averaging = self.averaging(graph, x0)

        def field(t: Tensor, X: Tensor) -> Tensor:
            A = averaging(X)
            AX = A.columns(X)
            if self.reaction == "blurring_sharpening":
                R = AX - A.columns(AX)
            else:
                R = {"source": lambda X: x0, "relaxation": lambda X: x0 - X, **LOCAL}[self.reaction](X)
            return self.diffusion * (AX - X) + self.rate * R

        return field
