"""`GraphDynamics`: what evolves on the nodes of a graph, and on its graphon limit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from opnet.linops.base import LinearOperator

VectorField = Callable[[Tensor, Tensor], Tensor]


class GraphDynamics(ABC):
    """`u_i' = f(u_i, sum_j S_ij g(u_i, u_j))` for states u of several features a node. Concrete ones are frozen.

    S is the shift operator A / (alpha n) of a graph, or the integral operator of its graphon: where `has_limit`, the
    field needs S for products alone, and the limit is solved by quadrature.

    Attributes:
        feature_names: of the state.
        units: name -> unit, for every feature and parameter.
        random_functions: how many random functions a state is made of.
    """

    feature_names: ClassVar[tuple[str, ...]]
    units: ClassVar[dict[str, str]]
    random_functions: ClassVar[int]

    @property
    @abstractmethod
    def equation(self) -> str:
        """In words, as a data set prints it."""

    @property
    def has_limit(self) -> bool:
        return True

    @abstractmethod
    def initial(self, g: Tensor) -> Tensor:
        """An admissible state from random functions.  # shape: (sample, node, function) -> (sample, node, feature)"""

    @abstractmethod
    def vector_field(self, shift: LinearOperator) -> VectorField:
        """`f(t, u)` for u (sample, node, feature)."""
