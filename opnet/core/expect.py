"""Arguments of the wrong kind, refused in one sentence: what was expected and what was found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

LONGEST = 60  # characters of a value that a message repeats


def expect(name: str, value: Any, kind: type | tuple[type, ...], expected: str) -> None:
    """Raise a `ValueError` naming the argument unless `value` is of the kind.

    >>> expect("n_samples", "many", int, "an integer")
    Traceback (most recent call last):
    ValueError: n_samples: expected an integer, found 'many'
    """
    if not isinstance(value, kind):
        raise ValueError(f"{name}: expected {expected}, found {found(value)}")


def is_integer(value: Any) -> bool:
    """Whether `value` is a whole number as an index is one, such as 3 or `np.int64(3)`; neither 3.0 nor True."""
    return hasattr(value, "__index__") and not isinstance(value, (bool, type)) and getattr(value, "ndim", 0) == 0


def integer(name: str, value: Any, expected: str = "an integer") -> int:
    """`value` as an int; a `ValueError` naming the argument if it is not one (3.0 is not)."""
    if not is_integer(value):
        raise ValueError(f"{name}: expected {expected}, found {found(value)}")
    return int(value)


def at_least(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int; a `ValueError` naming the argument if it is none or smaller than `least`.

    >>> at_least("width", 0)
    Traceback (most recent call last):
    ValueError: width: expected at least 1, found 0
    """
    value = integer(name, value)
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, found {value}")
    return value


def integers(name: str, values: Any, expected: str) -> tuple[int, ...]:
    """`values` as a tuple of ints; a `ValueError` naming the argument if they are not integers.

    >>> integers("Grid.shape", (64.7, 32), "integers, one an axis")
    Traceback (most recent call last):
    ValueError: Grid.shape: expected integers, one an axis, found (64.7, 32)
    """
    numbers = tuple(values) if isinstance(values, Iterable) and getattr(values, "ndim", 1) == 1 else (None,)
    if not all(map(is_integer, numbers)):
        raise ValueError(f"{name}: expected {expected}, found {found(values)}")
    return tuple(int(n) for n in numbers)


def found(value: Any) -> str:
    """What a message calls `value`: shortly, and with the brackets that someone forgot.

    >>> import torch
    >>> found(3.5), found(torch.zeros(2, 3)), found(torch.nn.ReLU)
    ('3.5', 'a torch.float32 Tensor of shape (2, 3)', 'the class ReLU (did you mean ReLU(...)?)')
    """
    if isinstance(value, type):
        return f"the class {value.__name__} (did you mean {value.__name__}(...)?)"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"a {value.dtype} {type(value).__name__} of shape {tuple(value.shape)}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the function {value.__name__} (did you mean {value.__name__}(...)?)"
    text = repr(value)
    return text if len(text) <= LONGEST and "\n" not in text else f"an object of type {type(value).__name__}"
