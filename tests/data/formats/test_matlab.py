import foreign_files
import h5py
import numpy as np
import pytest
import scipy.io

import opnet.data.formats.matlab as matlab
from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset
from opnet.data.formats.file_dataset import FileDataset
from opnet.spaces.grid import Grid


def numbers(data, part):
    return getattr(data.all(), part).numpy()


@pytest.mark.parametrize("compressed", [True, False])
def test_burgers_of_version_5(tmp_path, compressed):
    arrays = foreign_files.burgers_mat(tmp_path, compressed=compressed)
    splits = open_dataset(tmp_path, format="matlab", n_train=3, n_test=2)
    np.testing.assert_array_equal(numbers(splits.train, "inputs")[:, 0], arrays["a"][:3].astype("f4"))
    np.testing.assert_array_equal(numbers(splits.test, "targets")[:, 0], arrays["u"][4:].astype("f4"))
    assert splits.train.grid == Grid((16,), boundary="periodic")
    assert "first 3 samples train, the last 2 test; 1 between" in " ".join(splits.notes)
    alone = open_dataset(tmp_path / "burgers_data_R10.mat", n_train=3, n_test=2)
    assert alone.digest == splits.digest


@pytest.mark.parametrize("resident", [True, False])
def test_navier_stokes_of_version_73_has_its_axes_turned_back(tmp_path, monkeypatch, resident):
    if not resident:
        monkeypatch.setattr(matlab, "_RESIDENT", 0)
    arrays = foreign_files.navier_stokes_mat(tmp_path)
    splits = open_dataset(tmp_path, format="matlab", target_frames=[0, -1])
    assert isinstance(splits.train.whole, FileDataset) != resident
    assert ("random batches touch all of it" in " ".join(splits.notes)) != resident
    np.testing.assert_array_equal(numbers(splits.train, "inputs")[:, 0], arrays["a"][:5])
    np.testing.assert_array_equal(numbers(splits.train, "targets"), arrays["u"][:5, ..., [0, 2]].transpose(0, 3, 1, 2))
    assert splits.train.grid == Grid((4, 5), boundary="periodic")
    assert splits.provenance["times"] == [1, 2, 3]
    rolled = open_dataset(tmp_path, format="matlab", input_frames=[0, 1], target_frames=[2])
    np.testing.assert_array_equal(numbers(rolled.test, "inputs"), arrays["u"][5:, ..., :2].transpose(0, 3, 1, 2))
    assert rolled.digest != splits.digest


def darcy(path, coefficient, solution):
    scipy.io.savemat(path, {"coeff": coefficient, "sol": solution, "Kcoeff": coefficient})


def test_the_two_darcy_files_train_and_test(tmp_path):
    chance = np.random.default_rng(0)
    coefficient = np.where(chance.random((2, 4, 5, 5)) < 0.5, 3.0, 12.0)
    solution = chance.random((2, 4, 5, 5))
    solution[..., [0, -1]] = 0
    for i in (0, 1):
        darcy(tmp_path / f"piececonst_r5_N4_smooth{i + 1}.mat", coefficient[i], solution[i])
    splits = open_dataset(tmp_path, format="matlab")
    np.testing.assert_array_equal(numbers(splits.train, "inputs")[:, 0], coefficient[0])
    np.testing.assert_array_equal(numbers(splits.test, "targets")[:, 0], solution[1].astype("f4"))
    notes = " ".join(splits.notes)
    assert "The coefficient is two-valued: 3, 12." in notes
    assert "of axis 1 averages 0.00% and 0.00% of its mean" in notes
    darcy(tmp_path / "piececonst_r5_N4_smooth1.mat", coefficient[0] - 4 + solution[0], solution[0])
    assert "below 0, where the equation is not elliptic" in " ".join(open_dataset(tmp_path, format="matlab").notes)
    with pytest.raises(DataError, match=r"found piececonst.*choose by file="):
        open_dataset(tmp_path, format="matlab", test_file="piececonst_r5_N4_smooth2.mat")
    one = open_dataset(tmp_path, format="matlab", file="piececonst_r5_N4_smooth2.mat", n_test=0.5)
    assert (len(one.train), len(one.test)) == (2, 2)


def test_pino_and_plasticity_are_told_apart_by_their_axes(tmp_path):
    chance = np.random.default_rng(0)
    start, paths = chance.random((5, 8)), chance.random((5, 3, 8))
    x, t = np.arange(8)[None] / 8, np.linspace(0, 1, 3)[None]
    scipy.io.savemat(tmp_path / "p.mat", {"input": start, "output": paths, "visc": 0.01, "tspan": t, "x": x})
    splits = open_dataset(tmp_path, format="matlab")
    np.testing.assert_array_equal(numbers(splits.train, "targets")[:, 0], paths[:4, -1].astype("f4"))
    assert (splits.provenance["nu"], splits.provenance["times"]) == (0.01, [0, 0.5, 1])
    assert not any("x runs from" in note for note in splits.notes)
    closed = np.linspace(0, 1, 8)
    scipy.io.savemat(tmp_path / "p.mat", {"input": start, "output": paths, "x": closed})
    assert "x runs from 0 to 1; the values are read as at i/8" in " ".join(open_dataset(tmp_path).notes)
    mesh = chance.random((5, 8, 6, 3, 4))
    foreign_files.matlab73(tmp_path / "p.mat", {"input": start, "output": mesh})
    splits = open_dataset(tmp_path, format="matlab", target_frames=[1])
    np.testing.assert_array_equal(
        numbers(splits.train, "targets"), mesh[:4, :, :, 1].transpose(0, 3, 1, 2).astype("f4")
    )
    np.testing.assert_array_equal(
        numbers(splits.train, "inputs")[:, 0], np.repeat(start[:4, :, None], 6, 2).astype("f4")
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a": np.ones((6, 4, 4))}, r"expected a and u of the same samples and nodes, found \(6, 4, 4\)"),
        ({"a": np.ones((5, 4, 5))}, "expected a and u of the same samples"),
        ({"a": np.ones((6, 4))}, r"expected keys and axes of one of: a nx, u nx; .*found \{'a': \(6, 4\)"),
        ({"t": np.arange(5.0)[:, None]}, r"t: expected 3 times, or one more, found shape \(5,\)"),
        ({"t": np.array([[1.0, 1.0, 2.0]])}, "t: expected finite ascending times"),
        ({"u": np.full((6, 4, 5, 3), np.nan)}, "u: expected finite values .* NaN or Inf in sample 0"),
    ],
)
def test_odd_contents_are_named(tmp_path, changes, message):
    arrays = {**foreign_files.navier_stokes_mat(tmp_path), **changes}
    foreign_files.matlab73(tmp_path / "ns_V1e-3_N6_T3.mat", arrays)
    with pytest.raises(DataError, match=rf"ns_V1e-3_N6_T3\.mat: {message}"):
        open_dataset(tmp_path, format="matlab")
    if "t" not in changes:
        scipy.io.savemat(tmp_path / "ns_V1e-3_N6_T3.mat", arrays)
        with pytest.raises(DataError, match=message):
            open_dataset(tmp_path, format="matlab")


def test_wrong_options_are_named(tmp_path):
    foreign_files.navier_stokes_mat(tmp_path)
    with pytest.raises(ValueError, match="target_frames: expected frames from -3 to 2, as the file has, found"):
        open_dataset(tmp_path, format="matlab", target_frames=[3])
    with pytest.raises(ValueError, match="n_train: expected a positive number"):
        open_dataset(tmp_path, format="matlab", n_train=0)
    with pytest.raises(ValueError, match="expected at most 6 samples together"):
        open_dataset(tmp_path, format="matlab", n_train=99999)


def test_a_cell_of_references_is_no_array(tmp_path):
    with h5py.File(tmp_path / "x.mat", "w") as file:
        file["a"] = np.ones((4, 3))
        file.create_dataset("u", data=[[file["a"].ref] * 3] * 4, dtype=h5py.ref_dtype)
    with pytest.raises(DataError, match=r"x\.mat: u: expected integers, floats or truth values"):
        open_dataset(tmp_path, format="matlab")
