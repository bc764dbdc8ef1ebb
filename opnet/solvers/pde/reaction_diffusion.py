"""`ReactionDiffusion`: reaction and diffusion on graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.solvers.pde.graph_dynamics import GraphDynamics, VectorField

COUPLINGS = ("sine", "linear", "consensus")
REACTIONS = ("none", "allen_cahn")


@register("problem", "reaction_diffusion")
@dataclass(frozen=True)
class ReactionDiffusion(GraphDynamics):
    """`u_i' = sum_j S_ij D(u_j - u_i) + R(u_i)` with S = A / (alpha n); all quantities without units.

    Args:
        coupling: D: "sine" (sin x), "linear" (x) or "consensus" (x / (1 + x^2)). The first two cost products with S,
            the last all pairs of nodes.
        reaction: R: "none", or "allen_cahn" (u - u^3).

    Raises:
        ValueError: for a name that is not among these.

    >>> ReactionDiffusion("linear").equation
    "u_i' = sum_j S_ij D(u_j - u_i), D(x) = x"
    """

    coupling: str = "sine"
    reaction: str = "none"

    feature_names: ClassVar[tuple[str, ...]] = ("u",)
    units: ClassVar[dict[str, str]] = dict.fromkeys(("t", "u", "coupling", "reaction"), "1")
    random_functions: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for name, value, known in (("coupling", self.coupling, COUPLINGS), ("reaction", self.reaction, REACTIONS)):
            if value not in known:
                raise ValueError(f"ReactionDiffusion.{name}: expected one of {', '.join(known)}, found {value!r}")

    @property
    def equation(self) -> str:
        D = {"sine": "sin(x)", "linear": "x", "consensus": "x / (1 + x^2)"}[self.coupling]
        R = {"none": "", "allen_cahn": " + u_i - u_i^3"}[self.reaction]
        return f"u_i' = sum_j S_ij D(u_j - u_i){R}, D(x) = {D}"

    @property
    def has_limit(self) -> bool:
        return self.coupling != "consensus"

    def initial(self, g: Tensor) -> Tensor:
        return g

    def vector_field(self, shift: LinearOperator) -> VectorField:
        degree = shift.apply(torch.ones(shift.in_shape, dtype=shift.dtype, device=shift.device))
        matrix = shift.to_dense() if self.coupling == "consensus" else None

        def field(t: Tensor, state: Tensor) -> Tensor:
            u = state[..., 0]
            if self.coupling == "sine":
                change = sine_coupling(shift, u)
            elif self.coupling == "linear":
                change = shift.apply(u) - degree * u
            else:
                assert matrix is not None
                change = torch.stack([(matrix * _consensus(one[None, :] - one[:, None])).sum(1) for one in u])
            return (change + u - u**3 if self.reaction == "allen_cahn" else change)[..., None]

        return field


def sine_coupling(shift: LinearOperator, u: Tensor) -> Tensor:
    """`sum_j S_ij sin(u_j - u_i)` by two products, as sin(v - u) = sin v cos u - cos v sin u."""
    sine, cosine = torch.sin(u), torch.cos(u)
    return shift.apply(sine) * cosine - shift.apply(cosine) * sine


def _consensus(x: Tensor) -> Tensor:
    return x / (1 + x**2)
