"""`Layout`: which axis of a stored array is samples, time, components and space."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

Selection = tuple[slice, ...]


@dataclass(frozen=True)
class Layout:
    """The meaning of an array's axes, a letter each.

    Args:
        axes: "n" samples, "t" time, "c" components (more than one such axis: a tensor's), "x", "y", "z" space, in the
            order in which they are stored. A letter of space that is missing means the same value all along that axis;
            without "n", the same for all samples.
        shape: of the stored array, an axis a letter.

    >>> layout = Layout("yxn", (3, 2, 10))  # as MATLAB's (n, x, y) lies in HDF5
    >>> block = np.arange(12).reshape(3, 2, 2)
    >>> layout.select(4, 6)
    (slice(0, 3, None), slice(0, 2, None), slice(4, 6, None))
    >>> layout.arrange(block, (2, 3)).shape  # (sample, channel, x, y)
    (2, 1, 2, 3)
    """

    axes: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        single = self.axes.replace("c", "")
        assert len(self.axes) == len(self.shape)
        assert set(single) <= set("ntxyz")
        assert len(set(single)) == len(single)

    def length(self, letter: str) -> int:
        """Entries along an axis, 1 where there is none."""
        return self.shape[self.axes.index(letter)] if letter in self.axes else 1

    @property
    def components(self) -> int:
        return prod(n for n, letter in zip(self.shape, self.axes, strict=True) if letter == "c")

    def select(self, start: int, stop: int, frame: int = 0) -> Selection:
        """The part that holds samples `start` to `stop` at one frame."""
        part = {"n": slice(start, stop), "t": slice(frame, frame + 1)}
        return tuple(part.get(letter, slice(0, n)) for letter, n in zip(self.axes, self.shape, strict=True))

    def is_natural(self, grid: tuple[int, ...]) -> bool:
        """Whether what `select` selects lies as `arrange` arranges it."""
        axes, shape = self.axes.replace("t", ""), tuple(self.length(letter) for letter in "xyz"[: len(grid)])
        return axes.removeprefix("n") == "xyz"[: len(grid)] and shape == grid

    def arrange(self, block: Any, grid: tuple[int, ...]) -> np.ndarray:
        """What `select` selected, as (sample, component, *grid); a view where it can be one."""
        space = "xyz"[: len(grid)]
        order = [i for i, letter in enumerate(self.axes) if letter == "n"]
        order += [i for i, letter in enumerate(self.axes) if letter in "tc"]
        order += [self.axes.index(letter) for letter in space if letter in self.axes]
        samples = block.shape[self.axes.index("n")] if "n" in self.axes else 1
        shape = tuple(self.length(letter) for letter in space)
        values = block.transpose(order).reshape(samples, self.components, *shape)
        return np.broadcast_to(values, (samples, self.components, *grid))
