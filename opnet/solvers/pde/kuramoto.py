"""`Kuramoto`: oscillators that pull each other into step, on graphs."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, pi
from typing import ClassVar

import torch
from torch import Tensor

from opnet.core.registry import register
from opnet.linops.base import LinearOperator
from opnet.solvers.pde.graph_dynamics import GraphDynamics, VectorField
from opnet.solvers.pde.reaction_diffusion import sine_coupling


@register("problem", "kuramoto")
@dataclass(frozen=True)
class Kuramoto(GraphDynamics):
    r"""Kuramoto's oscillators on a graph, `theta_i' = omega_i + K sum_j S_ij sin(theta_j - theta_i)`.

    Y. Kuramoto, *Chemical Oscillations, Waves, and Turbulence*, Springer 1984, section 5.4; on graph limits, G. S.
    Medvedev, SIAM J. Math. Anal. 46 (2014) 2743-2766. The natural frequency omega is a feature of the node that stays.
    How far the phases agree is the order parameter `|mean_i exp(i theta_i)|`.

    Args:
        strength: K, in radians per unit of time.
        spread: scale of omega, in radians per unit of time; the random functions it multiplies are of order 1.
        phases: scale of theta at the start, in radians.

    Raises:
        ValueError: unless the numbers are finite and spread and phases not negative.

    >>> import torch
    >>> float(Kuramoto.order_parameter(torch.zeros(1, 5, 2)))
    1.0
    """

    strength: float = 2.0
    spread: float = 0.3
    phases: float = pi / 2

    feature_names: ClassVar[tuple[str, ...]] = ("theta", "omega")
    units: ClassVar[dict[str, str]] = {
        "t": "1",
        **dict.fromkeys(("theta", "phases"), "rad"),
        **dict.fromkeys(("omega", "strength", "spread"), "rad per unit of time"),
    }
    random_functions: ClassVar[int] = 2

    def __post_init__(self) -> None:
        for name, least in (("strength", -torch.inf), ("spread", 0.0), ("phases", 0.0)):
            value = getattr(self, name)
            if not (isfinite(value) and value >= least):
                kind = "finite number" if least < 0 else "finite number that is not negative"
                raise ValueError(f"Kuramoto.{name}: expected a {kind}, found {value}")

    @property
    def equation(self) -> str:
        return "theta_i' = omega_i + K sum_j S_ij sin(theta_j - theta_i), omega_i' = 0; K = strength"

    def initial(self, g: Tensor) -> Tensor:
        return g * g.new_tensor((self.phases, self.spread))

    def vector_field(self, shift: LinearOperator) -> VectorField:
        def field(t: Tensor, state: Tensor) -> Tensor:
            theta, omega = state.unbind(-1)
            change = omega + self.strength * sine_coupling(shift, theta)
            return torch.stack([change, torch.zeros_like(omega)], -1)

        return field

    @staticmethod
    def order_parameter(states: Tensor) -> Tensor:
        """`|mean_i exp(i theta_i)|`: 1 where all phases agree.  # shape: (..., node, 2) -> (...)"""
        theta = states[..., 0]
        return torch.hypot(torch.cos(theta).mean(-1), torch.sin(theta).mean(-1))
