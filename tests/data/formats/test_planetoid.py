import pickle
from collections import defaultdict
from pathlib import Path

import foreign_files
import numpy as np
import pytest
import scipy.sparse
import torch

from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset
from opnet.data.formats.planetoid import read_planetoid


@pytest.fixture
def truth(tmp_path):
    return foreign_files.planetoid(tmp_path)


def test_features_classes_and_edges_are_put_together(tmp_path, truth):
    splits = open_dataset(tmp_path)
    train, test = splits.train, splits.test
    assert splits.resolution == train.domain.n == 12
    np.testing.assert_array_equal(train.all().inputs[0], truth["features"])
    assert (train.nodes.tolist(), test.nodes.tolist()) == ([0, 1], [8, 10, 11])
    classes = truth["classes"].argmax(1)
    assert test.labels.tolist() == classes[[8, 10, 11]].tolist()
    targets = torch.zeros(12, 3)
    targets[[0, 1], classes[[0, 1]]] = 1
    assert torch.equal(train.all().targets[0], targets)
    ring = np.roll(np.eye(12), 1, 0) + np.roll(np.eye(12), -1, 0)
    torch.testing.assert_close(
        train.domain.shift.to_dense(), torch.from_numpy((ring + np.eye(12)) / 3).float(), atol=1e-7, rtol=0
    )
    validation = open_dataset(tmp_path, test_nodes="validation", self_loops=False).test
    assert validation.nodes.tolist() == list(range(2, 8))
    torch.testing.assert_close(validation.domain.shift.to_dense(), torch.from_numpy(ring / 2).float())
    assert "1 nodes below 12 stand in no file: they have no features and no class." in splits.notes


@pytest.mark.parametrize(
    ("name", "nodes", "features", "classes", "edges", "note"),
    [
        ("cora", 2708, 1433, 7, 5278, "302 pairs more than once, 0 nodes as their own"),
        ("citeseer", 3327, 3703, 6, 4552, "15 nodes below 3327 stand in no file"),
    ],
)
def test_the_published_graphs(shared, name, nodes, features, classes, edges, note):
    splits = open_dataset(shared / "data/planetoid", format="planetoid", name=name)
    batch = splits.train.all()
    assert batch.inputs.shape == (1, nodes, features)
    assert batch.targets.shape == (1, nodes, classes)
    assert splits.provenance["nodes"] == {"train": 20 * classes, "validation": 500, "test": 1000}
    assert batch.targets.sum((0, 1)).tolist() == [20] * classes
    assert len(splits.train.domain.shift.values) == 2 * edges + nodes
    dense = splits.train.domain.shift.to_dense()
    torch.testing.assert_close(dense, dense.T)
    largest = torch.linalg.eigvalsh(dense.double())[-1]
    assert float(largest) == pytest.approx(1, abs=1e-6)
    assert note in " ".join(splits.notes)


@pytest.mark.parametrize(("name", "nodes", "alone"), [("cora", 2708, 0), ("citeseer", 3327, 48)])
def test_a_graph_as_a_whole(shared, name, nodes, alone):
    data, splits = read_planetoid(shared / "data/planetoid", name), open_dataset(shared / "data/planetoid", name=name)
    assert data.n == nodes
    assert [len(part) for part in (data.train, data.validation, data.test)] == [20 * data.classes, 500, 1000]
    assert int((data.adjacency.row_start.diff() == 0).sum()) == alone
    assert int((data.labels < 0).sum()) == (15 if name == "citeseer" else 0)
    assert torch.equal(data.features.to_dense(), splits.train.all().inputs[0])
    assert torch.equal(data.labels[data.test], splits.test.labels)
    ones = torch.randn(nodes, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(data.graph().shift @ ones, splits.train.domain.shift @ ones)


def test_a_node_that_stands_nowhere_stays(tmp_path, truth):
    data = read_planetoid(tmp_path, "toy")
    assert (data.n, int(data.labels[9])) == (12, -1)
    assert (data.train.tolist(), data.validation.tolist()) == ([0, 1], list(range(2, 8)))
    assert data.test.tolist() == [8, 10, 11]
    with pytest.raises(DataError, match=r"expected files of the names \['toy'\], found no ind\.cora\.graph"):
        read_planetoid(tmp_path, "cora")


class Hostile:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return Path.touch, (self.folder / "touched",)


@pytest.mark.parametrize("part", ["x", "ally", "graph"])
def test_a_hostile_pickle_is_refused_by_name_and_not_run(tmp_path, truth, part):
    (tmp_path / f"ind.toy.{part}").write_bytes(pickle.dumps(Hostile(tmp_path), protocol=2))
    with pytest.raises(DataError, match=rf"ind\.toy\.{part}: expected a pickle of arrays, found at .*the name \w+"):
        read_planetoid(tmp_path, "toy")
    assert not (tmp_path / "touched").exists()


def test_a_cut_file_is_refused(tmp_path, truth):
    path = tmp_path / "ind.toy.allx"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"ind\.toy\.allx: expected a pickle of arrays"):
        read_planetoid(tmp_path, "toy")


def test_one_of_several_graphs_is_named(shared, tmp_path):
    with pytest.raises(DataError, match=r"expected files ind\.NAME\.graph of one name, or name=\.\.\., found names \["):
        open_dataset(shared / "data/planetoid")
    with pytest.raises(ValueError, match="test_nodes: expected one of test, validation, found 'train'"):
        open_dataset(tmp_path, format="planetoid", test_nodes="train")


def ring(**changes):
    return defaultdict(list, {**{i: [(i + 1) % 12, (i - 1) % 12] for i in range(12)}, **changes})


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("graph", ring() | {3: [99]}, "expected neighbours from 0 to 11"),
        ("graph", ring() | {3: "ab"}, "expected a list of neighbours for each node"),
        ("graph", ring() | {12: []}, "expected lists of the nodes 0 to 11"),
        ("graph", [[1], [0]], "expected lists of the nodes 0 to 11, found list"),
        ("graph", dict.fromkeys(range(12), [5] * 1000), "expected a list of neighbours for each node"),
        ("y", np.ones((2, 3), "i4"), "expected one class a node"),
        ("y", np.full((2, 3), 7), "expected zeros and ones"),
        ("ty", np.zeros((4, 3), "i4"), r"expected zeros and ones of shape \(3, 3\), found \(4, 3\)"),
        ("x", scipy.sparse.csr_matrix(np.eye(5)[:2] * 9), "expected the features of ind.toy.x first"),
        ("x", np.eye(5), "expected a pickled CSR matrix, found Pickled"),
        ("x", scipy.sparse.csr_matrix(np.full((2, 5), np.nan)), "expected a sound CSR matrix"),
    ],
)
def test_odd_contents_are_named(tmp_path, truth, part, value, message):
    (tmp_path / f"ind.toy.{part}").write_bytes(pickle.dumps(value, protocol=2))
    with pytest.raises(DataError, match=rf"ind\.toy\.\w+: {message}"):
        open_dataset(tmp_path)


def test_nodes_that_teach_nothing_are_refused(tmp_path, truth):
    classes = np.eye(3, dtype="i4")[[0, 1, 2]]
    classes[1] = 0
    (tmp_path / "ind.toy.ty").write_bytes(pickle.dumps(classes, protocol=2))
    with pytest.raises(DataError, match=r"ind\.toy\.ty: expected a class for each test node, found 1 without one"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("lines", ["11\n8\n", "11\n8\n8\n", "11\n8\nx\n", "11\n9\n10\n", "8\n9\n14\n", "-1\n8\n9\n"])
def test_odd_test_nodes_are_named(tmp_path, truth, lines):
    (tmp_path / "ind.toy.test.index").write_text(lines)
    with pytest.raises(DataError, match=r"ind\.toy\.test\.index: expected (3 node numbers|different nodes from 8 on)"):
        open_dataset(tmp_path)


def test_a_matrix_whose_indices_lead_out_is_refused(tmp_path, truth):
    matrix = scipy.sparse.csr_matrix(np.eye(5, dtype="f4")[:2])
    for name, bad in (("indices", np.array([0, 9], "i4")), ("indptr", np.array([0, 5, 2], "i4"))):
        broken = matrix.copy()
        setattr(broken, name, bad)
        (tmp_path / "ind.toy.x").write_bytes(pickle.dumps(broken, protocol=2))
        with pytest.raises(DataError, match=r"ind\.toy\.x: expected a sound CSR matrix"):
            open_dataset(tmp_path)


def test_odd_edges_are_noted(tmp_path, truth):
    graph = ring() | {0: [0, 1, 1, 11], 5: []}
    (tmp_path / "ind.toy.graph").write_bytes(pickle.dumps(defaultdict(list, graph), protocol=2))
    splits = open_dataset(tmp_path)
    assert "1 pairs more than once, 1 nodes as their own neighbours and 2 edges in one" in " ".join(splits.notes)
    dense = splits.train.domain.shift.to_dense()
    torch.testing.assert_close(dense, dense.T)
