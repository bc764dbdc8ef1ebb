"""`SIR`: an epidemic on a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.solvers.pde.graph_dynamics import GraphDynamics, VectorField

STEEPNESS = 4.0  # of the step from the healthy to the infected part at the start


@register("problem", "sir")
@dataclass(frozen=True)
class SIR(GraphDynamics):
    r"""Susceptible, infected and recovered shares of the population at each node, with contacts along edges.

    .. math:: s_i' = -\beta s_i \sum_j S_{ij} \iota_j, \qquad
       \iota_i' = \beta s_i \sum_j S_{ij} \iota_j - \gamma \iota_i, \qquad r_i' = \gamma \iota_i

    After W. O. Kermack and A. G. McKendrick, Proc. R. Soc. A 115 (1927) 700-721, eqs. (29), mean field on networks:
    R. Pastor-Satorras et al., Rev. Mod. Phys. 87 (2015) 925-979. The three shares stay between 0 and 1 and their sum
    is 1. At the start `iota = prevalence / (1 + exp(-4 g))` for a random function g, and nobody has recovered.

    Args:
        beta: contacts that infect, per unit of time.
        gamma: recoveries, per unit of time.
        prevalence: the largest infected share at the start.

    Raises:
        ValueError: unless beta and gamma are not negative and prevalence lies in (0, 1].
    """

    beta: float = 3.0
    gamma: float = 0.5
    prevalence: float = 0.1

    feature_names: ClassVar[tuple[str, ...]] = ("susceptible", "infected", "recovered")
    units: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("t", "susceptible", "infected", "recovered", "prevalence"), "1"),
        **dict.fromkeys(("beta", "gamma"), "per unit of time"),
    }
    random_functions: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for name in ("beta", "gamma"):
            if not 0 <= getattr(self, name) < torch.inf:
                raise ValueError(f"SIR.{name}: expected a finite number from 0 on, found {getattr(self, name)}")
        if not 0 < self.prevalence <= 1:
            raise ValueError(f"SIR.prevalence: expected a share above 0 and up to 1, found {self.prevalence}")

    @property
    def equation(self) -> str:
        return "s_i' = -beta s_i sum_j S_ij i_j, i_i' = beta s_i sum_j S_ij i_j - gamma i_i, r_i' = gamma i_i"

    def initial(self, g: Tensor) -> Tensor:
        infected = self.prevalence * torch.sigmoid(STEEPNESS * g)
        return torch.cat([1 - infected, infected, torch.zeros_like(infected)], -1)

    def vector_field(self, shift: LinearOperator) -> VectorField:
        def field(t: Tensor, state: Tensor) -> Tensor:
            susceptible, infected, _ = state.unbind(-1)
            new = self.beta * susceptible * shift.apply(infected)
            gone = self.gamma * infected
            return torch.stack([-new, new - gone, gone], -1)

        return field
