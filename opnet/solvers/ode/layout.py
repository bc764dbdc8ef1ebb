"""`Layout`: a state of any form as rows, one an element of the batch, and back."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from opnet.core.expect import expect, found

State = Any
"""A tensor, or a tuple or dict of tensors."""


@dataclass(frozen=True)
class Layout:
    """The form of a state.

    The leading dimension is the batch where all leaves have the same one and some leaf has another dimension behind it;
    any other state is one element.

    Attributes:
        shapes: shape of each leaf, without the batch.
        keys: of a dict; the number of leaves of a tuple; None for a tensor.
        batched: whether leaves have a batch dimension.
    """

    shapes: tuple[tuple[int, ...], ...]
    keys: tuple[Any, ...] | int | None
    batched: bool

    @classmethod
    def of(cls, state: State) -> Layout:
        """The form of y0.

        Raises:
            ValueError: for anything but non-empty floating tensors of one dtype and device.
        """
        expected = "a floating Tensor, or a tuple or dict of them"
        expect("y0", state, (Tensor, tuple, dict), expected)
        keys = tuple(state) if isinstance(state, dict) else None if isinstance(state, Tensor) else len(state)
        leaves = _leaves(state)
        if not leaves:
            raise ValueError(f"y0: expected {expected}, found an empty {type(state).__name__}")
        for leaf in leaves:
            expect("y0", leaf, Tensor, expected)
            if not leaf.dtype.is_floating_point or leaf.numel() == 0:
                raise ValueError(f"y0: expected non-empty floating tensors, found {found(leaf)}")
            if leaf.dtype != leaves[0].dtype or leaf.device != leaves[0].device:
                raise ValueError(
                    f"y0: expected one dtype and device, found {leaves[0].dtype} on {leaves[0].device} "
                    f"and {leaf.dtype} on {leaf.device}"
                )
        sizes = {leaf.shape[0] if leaf.ndim else None for leaf in leaves}
        batched = len(sizes) == 1 and any(leaf.ndim >= 2 for leaf in leaves)
        return cls(tuple(tuple(leaf.shape[batched:]) for leaf in leaves), keys, batched)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Entries of each leaf of one element."""
        return tuple(prod(shape) for shape in self.shapes)

    @property
    def plain(self) -> bool:
        """Whether the rows are the state itself."""
        return self.batched and self.keys is None and len(self.shapes[0]) == 1

    def leaf(self, i: int) -> Layout:
        """The form of one leaf alone."""
        return Layout((self.shapes[i],), None, self.batched)

    def rows(self, state: State) -> Tensor:
        """(batch, n) of a state of this form; a view where it can be one."""
        if self.plain:
            return state
        leaves = _leaves(state)
        flat = [leaf.reshape(leaf.shape[0] if self.batched else 1, -1) for leaf in leaves]
        return flat[0] if len(flat) == 1 else torch.cat(flat, 1)

    def state(self, rows: Tensor) -> State:
        """The state of (*leading, batch, n); leading dimensions, such as time, come first in every leaf."""
        if self.plain:
            return rows
        shape = rows.shape[:-1] if self.batched else rows.shape[:-2]
        leaves = tuple(
            part.reshape((*shape, *own)) for part, own in zip(rows.split(self.sizes, -1), self.shapes, strict=True)
        )
        if self.keys is None:
            return leaves[0]
        return leaves if isinstance(self.keys, int) else dict(zip(self.keys, leaves, strict=True))

    def check(self, name: str, value: Any, state: State) -> None:
        """Refuse a value that is not of the form and dtype of `state`: a broadcast would go unnoticed otherwise."""
        same = type(value) is type(state) if self.keys is not None else isinstance(value, Tensor)
        if same and isinstance(self.keys, tuple):
            same = tuple(value) == self.keys
        ours, theirs = _leaves(state), _leaves(value) if same else ()
        if not same or len(ours) != len(theirs):
            raise ValueError(f"{name}: expected the form of y, {_form(state)}, found {_form(value)}")
        for a, b in zip(ours, theirs, strict=True):
            if not isinstance(b, Tensor) or a.shape != b.shape or a.dtype != b.dtype:
                raise ValueError(f"{name}: expected the form of y, {_form(state)}, found {_form(value)}")


def _leaves(state: State) -> tuple[Any, ...]:
    if isinstance(state, Tensor):
        return (state,)
    return tuple(state.values()) if isinstance(state, dict) else tuple(state)


def _form(state: Any) -> str:
    if isinstance(state, dict):
        return "{" + ", ".join(f"{key!r}: {_form(leaf)}" for key, leaf in state.items()) + "}"
    if isinstance(state, tuple):
        return "(" + ", ".join(map(_form, state)) + ")"
    return f"{state.dtype} of {tuple(state.shape)}" if isinstance(state, Tensor) else found(state)
