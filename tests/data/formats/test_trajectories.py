"""Frames of foreign files as trajectories: one set of views for all formats."""

import pickle

import foreign_files
import h5py
import numpy as np
import pytest
import scipy.io
import torch

import opnet.data.formats.matlab as matlab
from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset


def flat(folder):
    tensor = foreign_files.pdebench_burgers(folder)
    return {}, tensor[:, :, None], [0, 0.5, 1, 1.5]


def grouped(folder):
    data = foreign_files.pdebench_grouped(folder)
    return {}, data.transpose(0, 1, 4, 2, 3), [0, 0.5, 1]


def compressible(folder):
    chance = np.random.default_rng(0)
    fields = {name: chance.random((6, 3, 5), dtype="f4") for name in ("density", "pressure", "Vx")}
    with h5py.File(folder / "1D_CFD_Rand_Eta0.1_periodic_Train.hdf5", "w") as file:
        for name, values in fields.items():
            file[name] = values
        file["x-coordinate"] = ((np.arange(5) + 0.5) / 5).astype("f4")
        file["t-coordinate"] = np.arange(4, dtype="f4")
    return {}, np.stack(list(fields.values()), 2), [0, 1, 2]


def navier_stokes(folder):
    arrays = foreign_files.navier_stokes_mat(folder)
    frames = np.concatenate([arrays["a"][..., None], arrays["u"]], -1)
    return {}, frames.transpose(0, 3, 1, 2)[:, :, None], [0, 1, 2, 3]


def burgers_pino(folder):
    chance = np.random.default_rng(0)
    u = chance.random((6, 3, 8))
    arrays = {"input": u[:, 0], "output": u, "tspan": np.linspace(0, 1, 3)[None], "x": np.arange(8)[None] / 8}
    scipy.io.savemat(folder / "burgers_pino.mat", arrays)
    return {}, u[:, :, None].astype("f4"), [0, 0.5, 1]


def plasticity(folder):
    chance = np.random.default_rng(0)
    output = chance.random((6, 4, 3, 5, 2))
    scipy.io.savemat(folder / "plas_N6_T5.mat", {"input": chance.random((6, 4)), "output": output})
    return {}, output.transpose(0, 3, 4, 1, 2).astype("f4"), [0, 1, 2, 3, 4]


def neuraloperator(folder):
    u = torch.rand(6, 5, 8, dtype=torch.float64)
    torch.save({"x": u[:, 0], "y": u, "visc": torch.full((1, 1), 0.01).double()}, folder / "burgers_train_8.pt")
    options = {"format": "neuraloperator", "problem": "burgers", "train_resolution": 8, "n_test": 1}
    return options, u[:, :, None].float().numpy(), [0, 0.25, 0.5, 0.75, 1]


def the_well(folder):
    train = foreign_files.well_folder(folder)["train"]
    fields = [train.fields["pressure"], *np.moveaxis(train.fields["velocity"], -1, 0)]
    fields += [train.fields["stress"][..., i, j] for i in (0, 1) for j in (0, 1)]
    return {}, np.stack(fields, 2), [0, 0.5, 1]


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize(
    "write",
    [flat, grouped, compressible, navier_stokes, burgers_pino, plasticity, neuraloperator, the_well],
    ids=lambda write: write.__name__,
)
def test_frames_and_times_are_those_of_the_file(tmp_path, monkeypatch, write, resident):
    if not resident:
        monkeypatch.setattr(matlab, "_RESIDENT", 0)
    options, expected, times = write(tmp_path)
    splits = open_dataset(tmp_path, trajectories=True, **options)
    data = pickle.loads(pickle.dumps(splits.train))
    assert data.times.tolist() == pytest.approx(times)
    order = [3, 0, 1]
    batch = data.batch(order)
    assert torch.equal(batch.times, data.times)
    np.testing.assert_array_equal(batch.targets.numpy(), expected[order])
    samples, frames = np.array([2, 0, 2, 3]), np.array([[0, 2], [1, 1], [2, 1], [2, 0]])
    np.testing.assert_array_equal(data.frames(samples, frames).numpy(), expected[samples[:, None], frames])
    pairs = data.windows(1, 1).all()
    np.testing.assert_array_equal(pairs.targets.numpy(), expected[: len(data), 1:].reshape(pairs.targets.shape))
    assert splits.channel_names[1] == [f"target_{i}" for i in range(expected.shape[2])]
    without = open_dataset(tmp_path, **options)
    assert without.digest != splits.digest
    assert without.train.times is None


def test_what_trajectories_begin_with_is_said(tmp_path):
    navier_stokes(tmp_path)
    notes = open_dataset(tmp_path, trajectories=True).notes
    assert "Frame 0 of the trajectories is a, at time 0; those of u begin at 1." in notes


def test_frames_without_times_are_numbered_and_said_to_be(tmp_path):
    plasticity(tmp_path)
    assert any("states no times" in note for note in open_dataset(tmp_path, trajectories=True).notes)


def test_a_single_frame_that_is_not_finite_is_named(tmp_path):
    flat(tmp_path)
    path = tmp_path / "1D_Burgers_Sols_Nu0.01.hdf5"
    with h5py.File(path, "r+") as file:
        file["tensor"][3, 2, 5] = np.nan
    data = open_dataset(path, trajectories=True).train
    assert torch.isfinite(data.frames(np.array([3]), np.array([[0, 1]]))).all()
    with pytest.raises(DataError, match=r"Nu0\.01\.hdf5: tensor: expected finite values .* in sample 3"):
        data.frames(np.array([0, 3]), np.array([[0, 1], [1, 2]]))


def test_times_that_groups_do_not_share_are_refused(tmp_path):
    grouped(tmp_path)
    with h5py.File(tmp_path / "2D_diff-react_NA_NA.h5", "r+") as file:
        file["0003/grid/t"][1] = 0.6
    with pytest.raises(DataError, match="grid/t: expected the times of 0000 in every group"):
        open_dataset(tmp_path)


def test_times_that_files_do_not_share_are_refused(tmp_path):
    foreign_files.well_folder(tmp_path)
    with h5py.File(tmp_path / "data/train/toy_0001.hdf5", "r+") as file:
        file["dimensions/time"][1] = 0.6
    open_dataset(tmp_path)
    with pytest.raises(DataError, match=r"toy_0001\.hdf5: expected the times of toy_0000\.hdf5"):
        open_dataset(tmp_path, trajectories=True)


@pytest.mark.parametrize("write", [foreign_files.burgers_mat, foreign_files.geo_pipe], ids=["no time", "no option"])
def test_files_without_frames_are_no_trajectories(tmp_path, write):
    write(tmp_path)
    with pytest.raises((DataError, ValueError), match=r"expected frames in time|trajectories"):
        open_dataset(tmp_path, trajectories=True)


def test_times_that_are_missing_are_named(tmp_path):
    arrays = foreign_files.navier_stokes_mat(tmp_path)
    foreign_files.matlab73(tmp_path / "ns_V1e-3_N6_T3.mat", {key: arrays[key] for key in "au"})
    with pytest.raises(DataError, match="t: expected times, as trajectories have, found none"):
        open_dataset(tmp_path, trajectories=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trajectories": 1}, "trajectories(: expected true or false, found 1|'.*Actual value: 1)"),
        ({"trajectories": True, "target_frames": [1]}, r"target_frames: expected none beside trajectories=True"),
        ({"trajectories": True, "input_frames": [1]}, r"input_frames: expected none beside trajectories=True"),
    ],
    ids=range(3),
)
@pytest.mark.parametrize("format", ["pdebench", "matlab", "the_well"])
def test_frames_are_chosen_or_all_read(tmp_path, format, options, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        open_dataset(tmp_path, format=format, **options)


def test_darcy_is_no_trajectory(tmp_path):
    with pytest.raises(ValueError, match="trajectories: expected true for burgers alone"):
        open_dataset(tmp_path, format="neuraloperator", trajectories=True)
