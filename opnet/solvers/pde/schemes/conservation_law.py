"""`ConservationLaw`: what a finite-volume scheme has to know of an equation."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class ConservationLaw(ABC):
    """`u_t + div F(u) = 0`. Concrete laws are frozen dataclasses.

    States are channels first, (channel, sample, *grid); a primitive state w has in channels 1, 2, ... the components of
    the velocity, and channel 0 and the last are positive.
    """

    @abstractmethod
    def primitive(self, u: Tensor) -> Tensor:
        """w of conserved variables; NaN or not positive where u is no admissible state."""

    @abstractmethod
    def conserved(self, w: Tensor) -> Tensor:
        """u of primitive variables."""

    @abstractmethod
    def sound(self, w: Tensor) -> Tensor:
        """The speed of the fastest wave relative to the flow.  # shape: (sample, *grid)"""

    @abstractmethod
    def flux(self, left: Tensor, right: Tensor, axis: int) -> Tensor:
        """The flux along an axis through faces between two primitive states, by an approximate Riemann solver."""
