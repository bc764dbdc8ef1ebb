"""Pickles of arrays read as data: their instructions are interpreted here, and nothing they name is ever called.

A pickle is a program for a stack machine [1]. This one knows containers, numbers and text, and of everything a pickle
may name, the few that stand for numpy arrays, SciPy's CSR matrices and dicts of lists; any other name or instruction is
refused. What a name would make is not made but kept as a `Pickled` value, and turned into an array by checks of shape,
type and length.

References:
    [1] The module pickletools of the Python standard library documents every instruction.
"""

from __future__ import annotations

import pickletools
import struct
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from opnet.core.errors import DataError

# module and name in a pickle -> what it stands for; modules have moved over the years.
_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("scipy.sparse.csr", "csr_matrix"): "csr",
    ("scipy.sparse._csr", "csr_matrix"): "csr",
    ("collections", "defaultdict"): "dict",
    ("__builtin__", "list"): "list",
    ("builtins", "list"): "list",
    ("_codecs", "encode"): "bytes",
    ("__builtin__", "bytes"): "bytes",
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINSTRING", "SHORT_BINSTRING", "BINUNICODE"),
    *("SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


@dataclass(eq=False)
class Pickled:
    """What a pickle would make by a name: "array", "dtype" or "csr"; or the name itself, not yet applied.

    Attributes:
        kind: what the name stands for.
        arguments: what it would be called with; None for the name alone.
        state: what the object would be given then.
    """

    kind: str
    arguments: tuple[Any, ...] | None = None
    state: Any = None


def read_pickle(content: bytes, where: str) -> Any:
    """Containers, numbers, text, bytes and `Pickled` values of a pickle.

    Raises:
        DataError: for a damaged pickle, an instruction or a name beyond those of arrays.
    """
    machine = _Machine()
    try:
        position = -1
        for operation, argument, at in pickletools.genops(content):
            position = -1 if at is None else at
            machine.step(operation.name, argument)
        if position != len(content) - 1 or len(machine.stack) != 1:
            raise ValueError(f"one value and an end, {len(content) - 1 - position} bytes follow")
        return machine.stack[0]
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise DataError(f"{where}: expected a pickle of arrays, found at {position}: {error!r:.160}") from error


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            stack.append(argument)
        elif name in ("PROTO", "FRAME", "STOP"):
            pass
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE"):
            stack.append({"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}[name]())
        elif name in _TUPLES:
            stack[-_TUPLES[name] :] = [tuple(stack[len(stack) - _TUPLES[name] :])]
        elif name == "TUPLE":
            stack.append(tuple(self._to_mark()))
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in ("APPEND", "APPENDS"):
            values = [stack.pop()] if name == "APPEND" else self._to_mark()
            _of(list, stack[-1]).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            values = [stack.pop(), stack.pop()][::-1] if name == "SETITEM" else self._to_mark()
            _of(dict, stack[-1]).update(zip(map(_key, values[::2]), values[1::2], strict=True))
        elif name == "GLOBAL":
            stack.append(_named(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_named(module, attribute))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, callable_ = _of(tuple, stack.pop()), _of(Pickled, stack.pop())
            stack.append(_applied(callable_, arguments))
        elif name == "BUILD":
            state, target = stack.pop(), _of(Pickled, stack[-1])
            if target.arguments is None or target.state is not None:
                raise ValueError(f"a state for {target.kind} that has one or none")
            target.state = state
        else:
            raise ValueError(f"the instruction {name}")

    def _to_mark(self) -> list[Any]:
        at = len(self.stack) - 1 - self.stack[::-1].index(_MARK)
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values


def _of(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


def _key(value: Any) -> Any:
    return value if isinstance(value, (str, int)) else _of(bytes, value)


def _named(module: Any, attribute: Any) -> Pickled:
    if (module, attribute) not in _NAMES:
        raise ValueError(f"the name {module}.{attribute}")
    return Pickled(_NAMES[module, attribute])


def _applied(name: Pickled, arguments: tuple[Any, ...]) -> Any:
    if name.arguments is None and name.kind == "dict":
        return {}
    if name.arguments is None and name.kind == "bytes":  # how Python 3 writes bytes for Python 2
        text, codec = arguments or ("", "latin1")
        if codec not in ("latin1", "latin-1"):
            raise ValueError(f"the codec {codec!r}")
        return _of(str, text).encode("latin-1")
    if name.arguments is None and name.kind in ("array", "dtype", "csr"):
        return Pickled(name.kind, arguments)
    raise ValueError(f"a call of {name.kind}")


def as_array(value: Any, where: str) -> np.ndarray:
    """The numbers of a pickled array.

    Raises:
        DataError: for anything else: other types, a shape that its bytes do not fill.
    """
    shape, kind, fortran, data = _array_state(value, where)
    name, order = kind
    if not (len(name) == 2 and name[0] in "fiub" and name[1] in "1248") and name not in ("b1", "bool"):
        raise DataError(f"{where}: expected numbers, found type {name!r:.40}")
    dtype = np.dtype((order if order in "<>" else "=") + ("b1" if name == "bool" else name))
    content = data.encode("latin-1", "replace") if isinstance(data, str) else data
    if not isinstance(content, bytes) or prod(shape) * dtype.itemsize != len(content):
        size = len(content) if isinstance(content, bytes) else type(data).__name__
        raise DataError(f"{where}: expected {prod(shape) * dtype.itemsize} bytes for shape {shape}, found {size}")
    values = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
    return values.astype(dtype.newbyteorder("="))


def as_objects(value: Any, where: str) -> list[Any]:
    """The entries of a pickled array of objects, or of a list."""
    if isinstance(value, list):
        return value
    shape, (name, _), _, data = _array_state(value, where)
    if name not in ("O8", "O4", "O") or not isinstance(data, list) or prod(shape) != len(data):
        raise DataError(f"{where}: expected a list or an array of objects, found type {name!r:.40} of shape {shape}")
    return data


def _array_state(value: Any, where: str) -> tuple[tuple[int, ...], tuple[str, str], bool, Any]:
    if (
        isinstance(value, Pickled)
        and value.kind == "array"
        and isinstance(value.state, tuple)
        and len(value.state) == 5
    ):
        _, shape, kind, fortran, data = value.state
        ints = isinstance(shape, tuple) and all(isinstance(n, int) and 0 <= n < 1 << 40 for n in shape)
        typed = isinstance(kind, Pickled) and kind.kind == "dtype" and bool(kind.arguments)
        if ints and typed and len(shape) <= 8 and isinstance(kind.arguments[0], str):
            state = kind.state
            order = state[1] if isinstance(state, tuple) and len(state) > 1 and isinstance(state[1], str) else "|"
            return shape, (kind.arguments[0], order), bool(fortran), data
    raise DataError(f"{where}: expected a pickled array, found {type(value).__name__}")
