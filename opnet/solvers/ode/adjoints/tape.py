"""`Tape`: the steps of a solve as they were chosen, and a few of the states between them."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from opnet.solvers.ode.record import Record


class State(NamedTuple):
    """What a step starts from, of the elements that it computes; without gradients."""

    y: Tensor
    carry: tuple[Tensor, ...]


class Tape:
    """Records of the steps that some element took, without what belongs to states, and the states before some of them.

    While they fit, all states are kept; from then on those before every step whose number is a multiple of a power of
    two, which doubles whenever they fill half of the memory, so that the other half is left for going backward (as the
    number of steps is not known beforehand; compare Stumm and Walther, SIAM J. Sci. Comput. 32 (2010)).

    Args:
        memory: states that may be kept at once; 2 log2 N + 2 for N steps if None.

    Attributes:
        records: one a step; the step is 0 in elements with a step of their own that rejected it.
        states: by the number of the step that starts from them.
    """

    def __init__(self, memory: int | None) -> None:
        self._memory, self._stride = memory, 1
        self.records: list[Record] = []
        self.states: dict[int, State] = {}

    @property
    def memory(self) -> int:
        """States that may be kept at once."""
        return self._memory if self._memory is not None else 2 * len(self.records).bit_length() + 2

    def add(self, record: Record) -> None:
        """The next step."""
        accept, h = record.accept, record.h
        if accept is not None:
            if not bool(accept.any()):
                return
            if isinstance(h, Tensor) and h.ndim:
                h = torch.where(accept, h, 0.0)
        number = len(self.records)
        none = record.y.new_empty(0)
        self.records.append(replace(record, h=h, y=none, y1=none, carry=(), interpolant=None, _made=None))
        if number % self._stride == 0:
            self.states[number] = State(record.y.detach().clone(), tuple(x.detach().clone() for x in record.carry))
        while len(self.states) > (self.memory if self._stride == 1 else max(1, self.memory // 2)):
            self._stride *= 2
            self.states = {i: kept for i, kept in self.states.items() if i % self._stride == 0}
