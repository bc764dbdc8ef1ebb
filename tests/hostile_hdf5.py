"""HDF5 files that lead elsewhere or pretend a size, one function a trick; each replaces the data set `inputs`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

SHAPE = (4, 1, 8)
Trick = Callable[[Any, Path], None]


def external_link(file: Any, outside: Path) -> None:
    file["inputs"] = h5py.ExternalLink(str(outside), "/inputs")


def external_link_mid_path(file: Any, outside: Path) -> None:
    file["group"] = h5py.ExternalLink(str(outside), "/")
    file["inputs"] = h5py.SoftLink("/group/inputs")


def soft_link_to_external_link(file: Any, outside: Path) -> None:
    file["far"] = h5py.ExternalLink(str(outside), "/inputs")
    file["inputs"] = h5py.SoftLink("/far")


def soft_link(file: Any, outside: Path) -> None:
    file["inputs"] = h5py.SoftLink("/targets")


def external_storage(file: Any, outside: Path) -> None:
    file.create_dataset("inputs", SHAPE, "f4", external=[(str(outside), 0, h5py.h5f.UNLIMITED)])


def virtual_dataset(file: Any, outside: Path) -> None:
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[:] = h5py.VirtualSource(str(outside), "inputs", SHAPE)
    file.create_virtual_dataset("inputs", layout)


def unlimited_virtual_dataset(file: Any, outside: Path) -> None:
    # Its extent is that of the source, which HDF5 opens as soon as anybody asks for the shape.
    layout = h5py.VirtualLayout(SHAPE, "f4", maxshape=(None, 1, 8))
    source = h5py.VirtualSource(str(outside), "inputs", SHAPE, maxshape=(None, 1, 8))
    layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
    file.create_virtual_dataset("inputs", layout)


def shape_bomb(file: Any, outside: Path) -> None:
    file.create_dataset("inputs", (2**40, 1, 8), "f4", chunks=(1, 1, 8))


def contiguous_shape_bomb(file: Any, outside: Path) -> None:
    file.create_dataset("inputs", (2**31, 1, 8), "f4")


def chunk_bomb(file: Any, outside: Path) -> None:
    file.create_dataset("inputs", SHAPE, "f4", maxshape=(None, 1, 8), chunks=(2**26, 1, 8))


def gzip_bomb(file: Any, outside: Path) -> None:
    file.create_dataset("inputs", (2**14, 1, 2**10), "f4", data=np.zeros((2**14, 1, 2**10), "f4"), compression="gzip")


def gzip(file: Any, outside: Path) -> None:
    file.create_dataset("inputs", data=np.random.default_rng(0).random(SHAPE, "f4"), compression="gzip")


def unknown_filter(file: Any, outside: Path) -> None:
    file.create_dataset("inputs", data=np.zeros(SHAPE, "f4"), compression="lzf")


def object_type(file: Any, outside: Path) -> None:
    file.create_dataset("inputs", data=["text"] * 4, dtype=h5py.string_dtype())


def reference_type(file: Any, outside: Path) -> None:
    file.create_dataset("inputs", data=[file.ref] * 4, dtype=h5py.ref_dtype)


def compound_type(file: Any, outside: Path) -> None:
    file.create_dataset("inputs", data=np.zeros(4, [("a", "f4"), ("b", "f4")]))


def group_instead(file: Any, outside: Path) -> None:
    file.create_group("inputs")


def nothing(file: Any, outside: Path) -> None:
    """The data set is missing."""


TRICKS: tuple[Trick, ...] = (
    external_link,
    external_link_mid_path,
    soft_link_to_external_link,
    soft_link,
    external_storage,
    virtual_dataset,
    unlimited_virtual_dataset,
    shape_bomb,
    contiguous_shape_bomb,
    chunk_bomb,
    gzip_bomb,
    gzip,
    unknown_filter,
    object_type,
    reference_type,
    compound_type,
    group_instead,
    nothing,
)
LEADING_OUTSIDE = TRICKS[:3] + TRICKS[4:7]


def write_hostile(path: Path, trick: Trick, outside: Path) -> None:
    """A shard-like file whose `inputs` is the trick and whose other data sets are sound."""
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file.create_dataset("targets", data=np.zeros(SHAPE, "f4"), chunks=(1, *SHAPE[1:]), fletcher32=True)
        for name, kind in (("residual", "f8"), ("discretisation_error", "f8"), ("index", "i8")):
            file.create_dataset(name, data=np.zeros(4, kind), chunks=(4,), fletcher32=True)
        trick(file, outside)
