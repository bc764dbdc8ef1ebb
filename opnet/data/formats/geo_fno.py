"""Geo-FNO's `.npy` files: elasticity, flow in pipes, flow around airfoils."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from opnet.core.errors import DataError
from opnet.core.registry import register
from opnet.data.batch import ArrayDataset, Dataset
from opnet.data.dataset import DataSplits
from opnet.data.formats.base import Format, foreign_splits
from opnet.data.formats.cut import Cut
from opnet.data.formats.file_dataset import Channels, FileDataset
from opnet.data.formats.foreign_file import VouchedFiles, vouch
from opnet.data.formats.layout import Layout
from opnet.data.formats.npy_file import NpyFile
from opnet.graphs.graph import Graph
from opnet.linops.diagonal import Identity
from opnet.spaces.grid import Grid

SOURCE = "https://github.com/neuraloperator/Geo-FNO, described in https://arxiv.org/abs/2207.05209"


@dataclass(frozen=True)
class _Kind:
    inputs: tuple[tuple[str, str], ...]  # file and axes
    target: tuple[str, str]
    part: int  # of the target's axis "t", which here holds quantities
    equation: str
    notes: tuple[str, ...] = ()


_MESH = "The meshes are curved, one a sample: values are read on the square of mesh indices, positions are inputs."
KINDS = {
    "elasticity": _Kind(
        (("Random_UnitCell_XY_10.npy", "xcn"),),
        ("Random_UnitCell_sigma_10.npy", "xn"),
        0,
        "elasticity of a unit cell with a hole: positions of the points to stress",
        ("Points are others in every sample and have no edges: the graph's shift operator is the identity.",),
    ),
    "elasticity_grid": _Kind(
        (("Random_UnitCell_mask_10_interp.npy", "xyn"),),
        ("Random_UnitCell_sigma_10_interp.npy", "xyn"),
        0,
        "elasticity of a unit cell with a hole: mask of the hole to stress",
        ("Stress was interpolated from points to this grid by the publishers.",),
    ),
    "pipe": _Kind(
        (("Pipe_X.npy", "nxy"), ("Pipe_Y.npy", "nxy")),
        ("Pipe_Q.npy", "ntxy"),
        0,
        "incompressible flow in a bent pipe: positions of the mesh to horizontal velocity",
        (_MESH,),
    ),
    "naca": _Kind(
        (("NACA_Cylinder_X.npy", "nxy"), ("NACA_Cylinder_Y.npy", "nxy")),
        ("NACA_Cylinder_Q.npy", "ntxy"),
        4,
        "transonic flow around an airfoil: positions of the mesh to Mach number",
        (_MESH,),
    ),
}


@register("format", "geo_fno")
@dataclass(frozen=True)
class GeoFNOFiles(Format):
    """A folder with the `.npy` files of one Geo-FNO problem.

    | problem | files, axes |
    |---|---|
    | elasticity | Random_UnitCell_XY_10 (point, coordinate, sample), Random_UnitCell_sigma_10 (point, sample) |
    | elasticity_grid | Random_UnitCell_mask_10_interp, Random_UnitCell_sigma_10_interp (x, y, sample) |
    | pipe | Pipe_X, Pipe_Y (sample, x, y), Pipe_Q (sample, quantity, x, y), of which the first |
    | naca | NACA_Cylinder_X, _Y (sample, x, y), NACA_Cylinder_Q (sample, quantity, x, y), of which the fifth |

    Args:
        problem: one of these; None: the one whose files are there.
        n_train, n_test: numbers or shares of samples, see `Cut`.

    Raises:
        ValueError: for another problem or a number out of range.
    """

    problem: str | None = None
    n_train: int | float | None = None
    n_test: int | float | None = None

    def __post_init__(self) -> None:
        Cut(self.n_train, self.n_test)
        if self.problem is not None and self.problem not in KINDS:
            raise ValueError(f"problem: expected one of {', '.join(KINDS)}, found {self.problem!r}")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return bool(_problems(path))

    def read(self, path: Path) -> DataSplits:
        problem = self.problem
        if problem is None:
            found = _problems(path)
            if len(found) != 1:
                raise DataError(
                    f"{path}: expected the files of one problem of {', '.join(KINDS)}, found those of "
                    f"{', '.join(found) or 'none'}; choose by problem=..."
                )
            problem = found[0]
        kind = KINDS[problem]
        files = vouch(path, [path / name for name, _ in (*kind.inputs, kind.target)])
        data = _points(path, files, kind) if problem == "elasticity" else _mesh(path, files, kind)
        train, test, note = Cut(self.n_train, self.n_test).one(data)
        provenance = {
            "name": f"Geo-FNO {problem}",
            "equation": kind.equation,
            "solver": "see the source",
            "source": SOURCE,
            "licence": "not stated",
        }
        return foreign_splits("geo_fno", self, files, train, test, provenance, (*kind.notes, note))


def _problems(path: Path) -> list[str]:
    return [problem for problem, kind in KINDS.items() if (path / kind.target[0]).exists()]


def _channels(path: Path, files: VouchedFiles, name: str, axes: str, part: int = 0) -> Channels:
    file = NpyFile(files[path / name])
    shape = file.header.shape
    if len(shape) != len(axes) or 0 in shape or ("t" in axes and shape[axes.index("t")] <= part):
        raise DataError(f"{path / name}: expected {len(axes)} axes, {part + 1} quantities, found shape {shape}")
    return Channels(file, ("",), Layout(axes, shape), (part,))


def _mesh(path: Path, files: VouchedFiles, kind: _Kind) -> Dataset:
    inputs = [_channels(path, files, *entry) for entry in kind.inputs]
    target = _channels(path, files, *kind.target, kind.part)
    _expect_like(path, kind, inputs, target, "nxy")
    shape = (target.layout.length("x"), target.layout.length("y"))
    return FileDataset(inputs, [target], Grid(shape, nodes="vertex"), target.layout.length("n"))


def _points(path: Path, files: VouchedFiles, kind: _Kind) -> Dataset:
    positions, stress = _channels(path, files, *kind.inputs[0]), _channels(path, files, *kind.target)
    _expect_like(path, kind, [positions], stress, "nx")
    count, n = stress.layout.length("x"), stress.layout.length("n")
    # On a line of points first, where files are read; then node by node, as graphs have them.
    batch = FileDataset([positions], [stress], Grid((count,)), n).all()
    inputs, targets = (values.mT.contiguous() for values in (batch.inputs, batch.targets))
    return ArrayDataset(inputs, targets, Graph(Identity(count, dtype=torch.float32)))


def _expect_like(path: Path, kind: _Kind, inputs: list[Channels], target: Channels, letters: str) -> None:
    expected = [target.layout.length(letter) for letter in letters]
    for (name, _), channels in zip(kind.inputs, inputs, strict=True):
        found = [channels.layout.length(letter) for letter in letters]
        if not np.array_equal(found, expected):
            raise DataError(
                f"{path / name}: expected the samples and nodes of {kind.target[0]}, {expected}, found {found}"
            )
