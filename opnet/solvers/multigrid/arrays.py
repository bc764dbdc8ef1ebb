"""Work arrays that are used again: at a first touch the system maps memory, which costs as much as a set-up."""

from __future__ import annotations

from typing import Any

import numpy as np

MOST = 2**28  # bytes that wait for their next use

_free: dict[tuple[int, Any], list[np.ndarray]] = {}
_waiting = 0


def zeros(n: int, dtype: Any = np.float64) -> np.ndarray:
    """An array of n zeros, of memory that was given back if there is some of this size."""
    global _waiting
    try:
        array = _free[n, dtype].pop()
    except LookupError:
        return np.zeros(n, dtype)
    _waiting -= array.nbytes
    array[:] = 0
    return array


def give_back(*arrays: np.ndarray) -> None:
    """Arrays from `zeros` that nobody will look at again."""
    global _waiting
    for array in arrays:
        if _waiting + array.nbytes <= MOST:
            _waiting += array.nbytes
            _free.setdefault((len(array), array.dtype.type), []).append(array)
