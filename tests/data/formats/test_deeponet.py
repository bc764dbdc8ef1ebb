import foreign_files
import numpy as np
import pytest

from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset
from opnet.data.formats.point_dataset import PointDataset
from opnet.spaces.grid import Grid


def test_aligned_files_on_one_line_are_maps_on_a_grid(tmp_path):
    functions, values = foreign_files.deeponet_aligned(tmp_path)
    splits = open_dataset(tmp_path, n_test=2)
    assert splits.train.grid == Grid((5,))
    np.testing.assert_array_equal(splits.train.all().inputs[:, 0], functions[:4].astype("f4"))
    np.testing.assert_array_equal(splits.test.all().targets[:, 0], values[4:].astype("f4"))
    assert "Where the sensors are is not stored" in splits.notes[0]


def test_unaligned_files_are_single_values(tmp_path):
    files = foreign_files.deeponet_unaligned(tmp_path)
    splits = open_dataset(tmp_path)
    assert (len(splits.train), len(splits.test)) == (6, 6)
    batch = splits.test.batch([4, 1])
    np.testing.assert_array_equal(batch.inputs[:, 0], files["test"]["X_test0"][[4, 1]].astype("f4"))
    np.testing.assert_array_equal(batch.targets[:, 0], files["test"]["y_test"][[4, 1]].astype("f4"))
    np.testing.assert_array_equal(batch.parameters["y1"], files["test"]["X_test1"][[4, 1], 1].astype("f4"))


def test_aligned_files_with_places_of_their_own_are_unrolled(tmp_path):
    chance = np.random.default_rng(0)
    X = np.empty(2, dtype=object)
    X[0], X[1], y = chance.random((3, 5)), chance.random((4, 2)), chance.random((3, 4))
    np.savez(tmp_path / "x.npz", X=X, y=y)
    splits = open_dataset(tmp_path, n_test=1)
    assert isinstance(splits.train.whole, PointDataset)
    assert len(splits.train) + len(splits.test) == 12
    batch = splits.train.batch([6])  # function 1, place 2
    assert float(batch.targets) == np.float32(y[1, 2])
    assert batch.inputs[0, 0].tolist() == X[0][1].astype("f4").tolist()
    assert [float(batch.parameters[f"y{i}"]) for i in (0, 1)] == X[1][2].astype("f4").tolist()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.ones((6, 5)), "y": np.ones((6, 5))}, "X: expected two arrays, functions and places.*save the arrays"),
        (
            {"X_train0": np.ones((6, 5)), "X_train1": np.ones((5, 1)), "y_train": np.ones((6, 1))},
            "y_train: expected one",
        ),
        (
            {"X_train0": np.ones(6), "X_train1": np.ones((6, 1)), "y_train": np.ones((6, 1))},
            "X_train0: expected a table",
        ),
        (
            {"X_train0": np.full((6, 5), np.nan), "X_train1": np.ones((6, 1)), "y_train": np.ones((6, 1))},
            "X_train0: expected finite values .* found NaN or Inf in row 0",
        ),
        ({"z": np.ones(3)}, r"expected X and y, or X_train0, X_train1 and y_train \(or test\), found \['z'\]"),
    ],
)
def test_odd_contents_are_named(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=rf"x\.npz: {message}"):
        open_dataset(tmp_path, format="deeponet")


def test_places_and_values_that_do_not_fit_are_refused(tmp_path):
    X = np.empty(2, dtype=object)
    X[0], X[1] = np.ones((6, 5)), np.arange(5.0)[:, None]
    np.savez(tmp_path / "x.npz", X=X, y=np.ones((6, 4)))
    with pytest.raises(DataError, match=r"x\.npz: y: expected shape \(6, 5\), found \(6, 4\)"):
        open_dataset(tmp_path, format="deeponet")
    X[1] = np.array([0, 1, 3, 4, 5.0])[:, None]
    np.savez(tmp_path / "x.npz", X=X, y=np.ones((6, 5)))
    with pytest.raises(DataError, match=r"x\.npz: X\[1\]: expected evenly ascending coordinates"):
        open_dataset(tmp_path, format="deeponet")
