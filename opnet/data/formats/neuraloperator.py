"""The Darcy and Burgers `.pt` files bundled with the neuraloperator package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from opnet.core.errors import DataError
from opnet.core.registry import register
from opnet.data.batch import ArrayDataset
from opnet.data.dataset import DataSplits
from opnet.data.formats.base import Format
from opnet.data.formats.foreign_file import check_sums
from opnet.data.formats.tensor_file import TensorFile, read_tensor_file
from opnet.data.manifest import digest_of
from opnet.spaces.grid import Grid

SOURCE = "https://github.com/neuraloperator/neuraloperator, folder neuralop/data/datasets/data (MIT licence)"
PROBLEMS = ("darcy", "burgers")


@register("format", "neuraloperator")
@dataclass(frozen=True)
class NeuralOperatorFiles(Format):
    """A folder of `darcy_{train,test}_N.pt` or `burgers_{train,test}_N.pt`.

    Darcy, -div(a grad u) = f on (0,1)^2: x (sample, N, N) bool tells the two phases apart, y (sample, N, N) float32 is
    u. Nodes lie at i/N from index 0, the far boundary is missing. Burgers on (0,1), periodic: x (sample, N) is u at
    time 0, y (sample, time, N) is u at times 0 to 1, visc its viscosity; read as the map from u(0) to u(1).

    The files state no units and no error of their own, so `discretisation_error` is None. What else is odd about them
    is measured while reading and told in `notes`.

    Args:
        problem: "darcy" or "burgers".
        train_resolution: N of the training file.
        n_test: where there is no test file, how many samples at the end of the training file to test on instead.
        trajectories: of Burgers, read all of y, with its times, as `windows` and `rollouts` want them.

    Raises:
        ValueError: for another problem, or a number out of range.
    """

    problem: str = "darcy"
    train_resolution: int = 16
    n_test: int | None = None
    trajectories: bool = False

    def __post_init__(self) -> None:
        if self.problem not in PROBLEMS:
            raise ValueError(f"problem: expected one of {', '.join(PROBLEMS)}, found {self.problem!r}")
        if not isinstance(self.trajectories, bool) or (self.trajectories and self.problem == "darcy"):
            raise ValueError(f"trajectories: expected true for burgers alone, found {self.trajectories!r}")
        if self.train_resolution < 2 or (self.n_test is not None and self.n_test < 1):
            raise ValueError(
                f"expected train_resolution of at least 2 and n_test of at least 1, found {self.train_resolution} "
                f"and {self.n_test}"
            )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return any(path.glob("darcy_train_*.pt")) or any(path.glob("burgers_train_*.pt"))

    def read(self, path: Path) -> DataSplits:
        n = self.train_resolution
        train_path = path / f"{self.problem}_train_{n}.pt"
        if not train_path.exists():
            raise self._missing(train_path, "")
        train_file = self._load(train_path)
        test_files = self._test_files(path)
        train, tests = self._dataset(train_file, n), {m: self._dataset(f, m) for m, f in test_files.items()}
        notes = self._notes(train_file, test_files)
        if n not in tests:
            if self.n_test is None:
                hint = f", or ask for n_test samples of {train_path.name} instead"
                raise self._missing(path / f"{self.problem}_test_{n}.pt", hint)
            if self.n_test >= len(train):
                raise ValueError(
                    f"n_test: expected fewer than the {len(train)} samples of the file, found {self.n_test}"
                )
            cut = len(train) - self.n_test
            tests[n] = _part(train, slice(cut, None))
            train = _part(train, slice(cut))
            notes += (f"There is no test file at {n}: the last {self.n_test} training samples serve as the test set.",)
        files = {file.path.name: file.sha256 for file in (train_file, *test_files.values())}
        check_sums(path, files)
        return DataSplits(
            train=train,
            tests=tests,
            resolution=n,
            provenance={**_PROVENANCE[self.problem], "source": SOURCE, "units": "not stated", "sha256": files},
            digest=digest_of(
                {"format": "neuraloperator", "n_test": self.n_test, "files": files}
                | ({"trajectories": True} if self.trajectories else {})
            ),
            notes=notes,
        )

    def _missing(self, path: Path, hint: str) -> DataError:
        return DataError(f"{path}: expected this file, found none; its owners publish it at {SOURCE}{hint}")

    def _test_files(self, path: Path) -> dict[int, TensorFile]:
        pattern = re.compile(rf"{self.problem}_test_(\d{{1,6}})\.pt")
        found = [match for entry in path.iterdir() if (match := pattern.fullmatch(entry.name))]
        return {int(match[1]): self._load(path / match[0]) for match in found}

    def _load(self, path: Path) -> TensorFile:
        return read_tensor_file(path, ("x", "y") if self.problem == "darcy" else ("x", "y", "visc"))

    def _dataset(self, file: TensorFile, n: int) -> ArrayDataset:
        if self.problem == "darcy":
            phases = file.require("x", torch.bool, (None, n, n))
            solution = file.require("y", torch.float32, (len(phases), n, n))
            grid = Grid((n, n), boundary="dirichlet", nodes="left")
            return ArrayDataset(phases.to(torch.float32).unsqueeze(1), solution.contiguous().unsqueeze(1), grid)
        start = file.require("x", torch.float64, (None, n))
        paths = file.require("y", torch.float64, (len(start), None, n))
        file.require("visc", torch.float64, (1, 1))
        grid = Grid((n,), boundary="periodic", nodes="left")
        inputs, paths = start.to(torch.float32).unsqueeze(1), paths.to(torch.float32)
        if not self.trajectories:
            return ArrayDataset(inputs, paths[:, -1:].clone(), grid)
        times = torch.linspace(0, 1, paths.shape[1], dtype=torch.float64)
        return ArrayDataset(inputs, paths.unsqueeze(2), grid, times=times)

    def _notes(self, train: TensorFile, tests: dict[int, TensorFile]) -> tuple[str, ...]:
        if self.problem == "darcy":
            return (*_darcy_notes(train.tensors["x"], train.tensors["y"]), *_nesting_notes(tests))
        return _burgers_notes(train.tensors)


_PROVENANCE: dict[str, dict[str, Any]] = {
    "darcy": {
        "name": "neuraloperator Darcy",
        "equation": "-div(a grad u) = f on (0,1)^2, u = 0 on the boundary; a and f not stated",
        "solver": "not published",
        "error_method": "none",
        "licence": "MIT",
    },
    "burgers": {
        "name": "neuraloperator Burgers",
        "equation": "u_t + (u^2/2)_x = nu u_xx on (0,1), periodic; u(0) to u(1)",
        "solver": "not published",
        "error_method": "none",
        "licence": "MIT",
    },
}


def _darcy_notes(x: Tensor, y: Tensor) -> tuple[str, ...]:
    n, mean = y.shape[-1], float(y.mean())
    near = max(float(y[:, 0].abs().mean()), float(y[:, :, 0].abs().mean())) / mean
    far = min(float(y[:, -1].mean()), float(y[:, :, -1].mean())) / mean
    below = int((y.flatten(1).min(1).values < 0).sum())
    return (
        f"x is two-valued ({float(x.float().mean()):.1%} of it 1); which values of a they stand for is not said: "
        "a two-value fit gives a contrast of about 19, not the 12 / 3 of the paper.",
        f"|u| averages {near:.2%} of its mean on row and column 0, where it should vanish, and {far:.0%} on row and "
        f"column {n - 1}: nodes lie at i/{n} from index 0, and index {n} (the far boundary) is missing.",
        f"u falls below 0 in {below} of {len(y)} training samples, to {float(y.min()):.3g}, against the maximum "
        "principle.",
        "The generating code is not public and no error of u is stated.",
    )


def _nesting_notes(tests: dict[int, TensorFile]) -> tuple[str, ...]:
    notes = []
    sizes = sorted(tests)
    for coarse, fine in pairwise(sizes):
        a, b = tests[coarse].tensors, tests[fine].tensors
        step = fine // coarse
        if fine != step * coarse or len(a["y"]) != len(b["y"]):
            notes.append(f"The test samples at {coarse} and {fine} cannot be compared node by node.")
            continue
        apart = float((b["y"][:, ::step, ::step] - a["y"]).abs().max())
        flipped = int((b["x"][:, ::step, ::step] != a["x"]).sum())
        notes.append(
            f"Test samples at {coarse} and {fine}, at the nodes they share: u differs by at most {apart:.2g}, "
            f"x at {flipped} nodes" + ("; they are the same samples." if apart == 0 and flipped == 0 else ".")
        )
    return tuple(notes)


def _burgers_notes(tensors: dict[str, Tensor]) -> tuple[str, ...]:
    x, y = tensors["x"], tensors["y"]
    apart = float((y[:, 0] - x).abs().max())
    return (
        f"nu = {float(tensors['visc']):g}; y holds {y.shape[1]} times, taken to go evenly from 0 to 1, the first "
        f"differing from x by at most {apart:.2g}; unless trajectories are read, the last is the target.",
        f"Stored in float64, read in float32. {x.shape[1]} nodes limit what can be known: a correct solver started "
        "from x meets y(1) to about 2.4 % in relative L2.",
        "The generating code is not public and no error of u is stated.",
    )


def _part(data: ArrayDataset, samples: slice) -> ArrayDataset:
    return ArrayDataset(data.inputs[samples], data.targets[samples], data.domain, times=data.times)
