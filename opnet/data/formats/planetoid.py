"""The citation graphs of Planetoid: Cora, Citeseer, PubMed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from opnet.core.errors import DataError
from opnet.core.registry import register
from opnet.data.dataset import DataSplits
from opnet.data.durable import open_regular
from opnet.data.formats.base import Format, foreign_splits
from opnet.data.formats.foreign_file import VouchedFiles, candidates, vouch
from opnet.data.formats.node_dataset import NodeDataset
from opnet.data.formats.plain_pickle import Pickled, as_array, read_pickle
from opnet.data.labelled_graph import LabelledGraph
from opnet.graphs.graph import Graph
from opnet.graphs.normalise import normalised_shift
from opnet.linops.sparse import CSR

SOURCE = "https://github.com/kimiyoung/planetoid, described in https://arxiv.org/abs/1603.08861"
PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
TEST_NODES = ("test", "validation")
_VALIDATION = 500
_LARGEST_FILE = 1 << 30
_MOST_FEATURES = 1 << 28


@register("format", "planetoid")
@dataclass(frozen=True)
class PlanetoidFiles(Format):
    """The files `ind.NAME.{x,tx,allx,y,ty,ally,graph,test.index}` of a citation graph.

    They are pickles of Python 2; they are interpreted as data, and nothing in them is run. Nodes are those of `allx`
    in order, then those from the least to the greatest index in `test.index`; a node that is missing there has no
    features and no class. The first nodes, those of `x`, train; the next 500 validate; those listed test. The domain is
    the graph with the shift operator D^-1/2 (A + I) D^-1/2, D the row sums of A + I. See `NodeDataset`.

    Args:
        name: NAME, where the folder holds several.
        test_nodes: the nodes to test on: "test" or "validation".
        self_loops: whether the shift operator has the I.

    Raises:
        ValueError: for other test nodes.
    """

    name: str | None = None
    test_nodes: str = "test"
    self_loops: bool = True

    def __post_init__(self) -> None:
        if self.test_nodes not in TEST_NODES:
            raise ValueError(f"test_nodes: expected one of {', '.join(TEST_NODES)}, found {self.test_nodes!r}")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return path.is_dir() and bool(_names(path))

    def read(self, path: Path) -> DataSplits:
        known = _names(path) if path.is_dir() else []
        name = self.name if self.name is not None else known[0] if len(known) == 1 else None
        if name is None or name not in known:
            raise DataError(f"{path}: expected files ind.NAME.graph of one name, or name=..., found names {known}")
        citations, files = _read(path, name)
        shift = normalised_shift(citations.adjacency(), "symmetric", self_loops=self.self_loops)
        graph, notes = Graph(shift.to(dtype=torch.float32)), citations.notes
        parts = citations.split("train", self.test_nodes)
        train, test = (
            NodeDataset(
                torch.from_numpy(citations.features),
                torch.from_numpy(citations.labels),
                torch.from_numpy(parts[which]),
                citations.classes,
                graph,
            )
            for which in ("train", self.test_nodes)
        )
        provenance = {
            "name": f"Planetoid {name}",
            "equation": "none: a citation graph, its documents' words to their classes",
            "solver": "none",
            "source": SOURCE,
            "licence": "not stated",
            "nodes": {which: len(nodes) for which, nodes in parts.items()},
        }
        return foreign_splits("planetoid", self, files, train, test, provenance, tuple(notes))


def read_planetoid(folder: str | Path, name: str) -> LabelledGraph:
    """The citation graph `name` as a whole: bag-of-words features as published, and the public split.

    The same files and checks as `PlanetoidFiles`. Nodes that stand in no file stay, without features, edges or a class.

    Args:
        folder: where `ind.NAME.*` lie.
        name: NAME, such as "cora".

    Raises:
        DataError: for missing, damaged or hostile files, naming the file.
    """
    folder = Path(folder)
    known = _names(folder) if folder.is_dir() else []
    if name not in known:
        raise DataError(f"{folder}: expected files of the names {known}, found no ind.{name}.graph")
    from scipy.sparse import csr_array

    citations, _ = _read(folder, name)
    parts = citations.split("train", "validation", "test")
    return LabelledGraph(
        citations.adjacency().to(dtype=torch.float32),
        CSR.from_scipy(csr_array(citations.features), dtype=torch.float32),
        torch.from_numpy(citations.labels),
        citations.classes,
        **{which: torch.from_numpy(nodes) for which, nodes in parts.items()},
    )


def _read(path: Path, name: str) -> tuple[_Citations, VouchedFiles]:
    """The contents of the files, and their digests."""
    paths = {part: path / f"ind.{name}.{part}" for part in PARTS}
    files = vouch(path, paths.values())
    return _Citations({part: _content(path) for part, path in paths.items()}, paths), files


def _names(path: Path) -> list[str]:
    found = (re.fullmatch(r"ind\.([A-Za-z0-9_-]{1,40})\.graph", entry.name) for entry in candidates(path, (".graph",)))
    return sorted(match[1] for match in found if match)


def _content(path: Path) -> bytes:
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > _LARGEST_FILE:
            raise DataError(f"{path}: expected at most {_LARGEST_FILE} bytes, found more")
        return file.readall()


class _Citations:
    """Features, classes and edges put together, as the public split has them."""

    def __init__(self, contents: dict[str, bytes], paths: dict[str, Path]) -> None:
        self.paths, self.notes = paths, []
        x, tx, allx = (_matrix(read_pickle(contents[part], str(paths[part])), paths[part]) for part in PARTS[:3])
        y, ty, ally = (as_array(read_pickle(contents[part], str(paths[part])), str(paths[part])) for part in PARTS[3:6])
        self.test = self._test_index(contents["test.index"], len(allx), len(tx))
        for part, labels, features in (("y", y, x), ("ty", ty, tx), ("ally", ally, allx)):
            if labels.shape != (len(features), ally.shape[-1]) or set(np.unique(labels)) - {0, 1}:
                expected = (len(features), ally.shape[-1])
                raise DataError(f"{paths[part]}: expected zeros and ones of shape {expected}, found {labels.shape}")
            if (labels.sum(1) > 1).any():
                raise DataError(f"{paths[part]}: expected one class a node, found several")
        if not (x.shape[1] == tx.shape[1] == allx.shape[1] and np.array_equal(allx[: len(x)], x)):
            raise DataError(f"{paths['allx']}: expected the features of {paths['x'].name} first, found others")
        if not np.array_equal(ally[: len(y)], y):
            raise DataError(f"{paths['ally']}: expected the classes of {paths['y'].name} first, found others")
        self.n = int(self.test.max()) + 1
        self.n_train, self.classes = len(x), ally.shape[1]
        self.n_validation = min(_VALIDATION, len(allx) - len(x))
        if self.n_validation < 1:
            raise DataError(f"{paths['allx']}: expected more nodes than the {len(x)} that train, found {len(allx)}")
        self.features = np.zeros((self.n, x.shape[1]), np.float32)
        classes = np.zeros((self.n, self.classes))
        self.features[: len(allx)], self.features[self.test] = allx, tx
        classes[: len(allx)], classes[self.test] = ally, ty
        unclassified = int((classes.sum(1) == 0).sum())
        self.labels = np.where(classes.sum(1) == 0, -1, classes.argmax(1)).astype(np.int64)
        missing = self.n - len(allx) - len(tx)
        if missing:
            self.notes.append(f"{missing} nodes below {self.n} stand in no file: they have no features and no class.")
        if unclassified > missing:
            self.notes.append(f"{unclassified - missing} other nodes have no class.")
        self.neighbours = self._neighbours(contents["graph"])

    def _test_index(self, content: bytes, first: int, count: int) -> np.ndarray:
        path = self.paths["test.index"]
        lines = content.split()
        if len(lines) != count or not all(re.fullmatch(rb"\d{1,9}", line) for line in lines):
            raise DataError(f"{path}: expected {count} node numbers, one a line, found {len(lines)} lines or others")
        index = np.array([int(line) for line in lines], dtype=np.int64)
        # Of the published graphs Citeseer lacks the most, 15 of 1015.
        if not count or len(np.unique(index)) != count or index.min() != first or index.max() >= first + 2 * count:
            raise DataError(f"{path}: expected different nodes from {first} on, found {index.min()} to {index.max()}")
        return index

    def _neighbours(self, content: bytes) -> np.ndarray:
        """Pairs of nodes as the file lists them.  # shape: (entry, 2)"""
        path = self.paths["graph"]
        lists = read_pickle(content, str(path))
        if not isinstance(lists, dict) or set(lists) != set(range(self.n)):
            raise DataError(f"{path}: expected lists of the nodes 0 to {self.n - 1}, found {type(lists).__name__}")
        # A pickle may hold one list many times; what it lists cannot be more than its bytes.
        if not all(isinstance(nodes, list) for nodes in lists.values()) or sum(map(len, lists.values())) > len(content):
            raise DataError(f"{path}: expected a list of neighbours for each node, found others")
        pairs = [(node, other) for node in range(self.n) for other in lists[node]]
        if not all(type(other) is int and 0 <= other < self.n for _, other in pairs):
            raise DataError(f"{path}: expected neighbours from 0 to {self.n - 1}, found others")
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    def adjacency(self) -> CSR:
        """A, zeros and ones, symmetric; what is odd about the lists goes to `notes`."""
        from scipy.sparse import coo_array

        rows, columns = self.neighbours.T
        listed = coo_array((np.ones(len(rows)), (rows, columns)), shape=(self.n, self.n)).tocsr()
        loops, twice = int((listed.diagonal() > 0).sum()), int((listed.data > 1).sum())
        A = (listed + listed.T).astype(bool).astype(np.float64)
        one_way = A.nnz - int((listed != 0).sum())
        if loops or twice or one_way:
            self.notes.append(
                f"The lists hold {twice} pairs more than once, {loops} nodes as their own neighbours and {one_way} "
                "edges in one direction alone; each is read as one edge both ways, loops are left out."
            )
        A.setdiag(0)
        A.eliminate_zeros()
        alone = int((A.sum(0) == 0).sum())
        if alone:
            self.notes.append(f"{alone} nodes have no neighbour.")
        return CSR.from_scipy(A)

    def split(self, *known: str) -> dict[str, np.ndarray]:
        """Nodes that train, validate and test; those in the `known` parts must have a class."""
        parts = {
            "train": np.arange(self.n_train),
            "validation": np.arange(self.n_train, self.n_train + self.n_validation),
            "test": np.sort(self.test),
        }
        for which in known:
            path = self.paths[{"train": "y", "validation": "ally", "test": "ty"}[which]]
            if missing := int((self.labels[parts[which]] < 0).sum()):
                raise DataError(f"{path}: expected a class for each {which} node, found {missing} without one")
        return parts


def _matrix(value: Any, path: Path) -> np.ndarray:
    """A pickled CSR matrix as a dense one, float32."""
    state = value.state if isinstance(value, Pickled) and value.kind == "csr" else None
    if not isinstance(state, dict) or not {"data", "indices", "indptr"} <= state.keys():
        raise DataError(f"{path}: expected a pickled CSR matrix, found {type(value).__name__}")
    shape = state.get("_shape", state.get("shape"))
    if not isinstance(shape, tuple) or len(shape) != 2 or not all(type(n) is int and n > 0 for n in shape):
        raise DataError(f"{path}: expected a CSR matrix of positive shape, found {shape!r:.80}")
    data, indices, indptr = (as_array(state[key], f"{path}: {key}") for key in ("data", "indices", "indptr"))
    sound = (
        shape[0] * shape[1] <= _MOST_FEATURES
        and data.shape == indices.shape == (len(data),)
        and indptr.shape == (shape[0] + 1,)
        and indptr.dtype.kind == indices.dtype.kind == "i"
        and indptr[0] == 0
        and indptr[-1] == len(data)
        and (np.diff(indptr) >= 0).all()
        and (not len(indices) or (indices.min() >= 0 and indices.max() < shape[1]))
        and np.isfinite(data).all()
    )
    if not sound:
        raise DataError(f"{path}: expected a sound CSR matrix of finite values, found one of shape {shape}")
    dense = np.zeros(shape, np.float32)
    np.add.at(dense, (np.repeat(np.arange(shape[0]), np.diff(indptr)), indices), data)
    return dense
