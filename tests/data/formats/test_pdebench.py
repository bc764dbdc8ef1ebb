import foreign_files
import h5py
import numpy as np
import pytest

from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset
from opnet.spaces.grid import Grid

BURGERS, GROUPED = "1D_Burgers_Sols_Nu0.01.hdf5", "2D_diff-react_NA_NA.h5"


def read(folder, **options):
    return open_dataset(folder, format="pdebench", **options)


def cells(n, low=0.0, high=1.0):
    return (low + (np.arange(n) + 0.5) * (high - low) / n).astype("f4")


def write(path, arrays, **attributes):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
        file.attrs.update(attributes)
    return path


def test_flat_files_are_flows_of_frames(tmp_path):
    tensor = foreign_files.pdebench_burgers(tmp_path)
    splits = read(tmp_path, n_test=2, input_frames=[0, 1], target_frames=[-1])
    batch = splits.test.batch([1, 0])
    np.testing.assert_array_equal(batch.inputs.numpy(), tensor[[5, 4], :2])
    np.testing.assert_array_equal(batch.targets.numpy(), tensor[[5, 4], 3:])
    assert splits.train.grid == Grid((8,), boundary="periodic", nodes="cell")
    assert splits.provenance["Nu"] == 0.01
    assert splits.provenance["times"] == pytest.approx([0, 0.5, 1, 1.5])
    notes = " ".join(splits.notes)
    assert "one time more than there are frames (5 and 4)" in notes
    assert "not quite periodic" in notes


def test_groups_are_samples(tmp_path):
    data = foreign_files.pdebench_grouped(tmp_path)
    splits = read(tmp_path, n_test=1)
    batch = splits.train.batch([3, 0, 1])
    np.testing.assert_array_equal(batch.inputs.numpy(), data[[3, 0, 1], 0].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(batch.targets.numpy(), data[[3, 0, 1], -1].transpose(0, 3, 1, 2))
    assert splits.train.grid == Grid((4, 4), ((-1, 1), (-1, 1)), boundary="neumann", nodes="cell")


def test_missing_seeds_are_noted(tmp_path):
    foreign_files.pdebench_grouped(tmp_path)
    with h5py.File(tmp_path / GROUPED, "r+") as file:
        del file["0002"]
    splits = read(tmp_path)
    assert len(splits.train) + len(splits.test) == 4
    assert "4 seeds from 0 to 4, some between them missing" in " ".join(splits.notes)


def test_darcy_maps_the_coefficient_to_the_solution(tmp_path):
    chance = np.random.default_rng(0)
    u, nu = chance.random((5, 1, 6, 6), dtype="f4"), chance.random((5, 6, 6), dtype="f4")
    arrays = {"tensor": u, "nu": nu, "x-coordinate": cells(6), "y-coordinate": cells(6)}
    write(tmp_path / "2D_DarcyFlow_beta1.0_Train.hdf5", arrays, beta=1.0)
    splits = read(tmp_path)
    np.testing.assert_array_equal(splits.train.all().inputs.numpy()[:, 0], nu[:4])
    np.testing.assert_array_equal(splits.train.all().targets.numpy(), u[:4])
    assert splits.provenance["beta"] == 1.0
    assert splits.train.grid == Grid((6, 6), nodes="cell")
    notes = " ".join(splits.notes)
    assert "not quite steady" in notes
    assert "first and last nodes of axis 1" in notes


def compressible(path, dim, fields, boundary="periodic"):
    chance = np.random.default_rng(0)
    shape = (4, 3, *(5, 6, 7)[:dim])
    arrays = {name: chance.random(shape, dtype="f4") for name in fields}
    for letter, n in zip("xyz"[:dim], shape[2:], strict=True):
        arrays[f"{letter}-coordinate"] = cells(n)
    arrays["t-coordinate"] = np.arange(4, dtype="f4")
    return write(path / f"{dim}D_CFD_Rand_Eta0.1_{boundary}_Train.hdf5", arrays, eta=0.1, zeta=0.1), arrays


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_compressible_flow_has_a_channel_a_field(tmp_path, dim):
    fields = ("density", "pressure", "Vx", "Vy", "Vz")[: 2 + dim]
    _, arrays = compressible(tmp_path, dim, fields)
    splits = read(tmp_path, n_test=1, input_frames=[0, 1])
    inputs = splits.train.all().inputs.numpy()
    assert inputs.shape == (3, 2 * len(fields), *(5, 6, 7)[:dim])
    for i, name in enumerate(fields):
        np.testing.assert_array_equal(inputs[:, len(fields) + i], arrays[name][:3, 1])
        np.testing.assert_array_equal(splits.test.all().targets.numpy()[:, i], arrays[name][3:, -1])
    assert splits.provenance["channels"] == list(fields)
    assert any("does not state M" in note for note in splits.notes) == (dim > 1)


def test_boundaries_come_from_the_name_or_are_asked_for(tmp_path):
    path, _ = compressible(tmp_path, 1, ("density", "pressure", "Vx"), "trans")
    assert read(tmp_path).train.grid.boundary == (("neumann", "neumann"),)
    path.rename(tmp_path / "1D_CFD.hdf5")
    with pytest.raises(DataError, match=r"1D_CFD\.hdf5: expected 'periodic' or 'trans' in the name"):
        read(tmp_path)
    assert read(tmp_path, boundary="periodic").train.grid.boundary == (("periodic", "periodic"),)
    with pytest.raises(ValueError, match="boundary: expected one of dirichlet, neumann, periodic, found 'open'"):
        read(tmp_path, boundary="open")


def test_incompressible_flow_has_its_force_among_the_inputs(tmp_path):
    chance = np.random.default_rng(0)
    arrays = {
        "velocity": chance.random((4, 3, 5, 5, 2), dtype="f4"),
        "particles": chance.random((4, 3, 5, 5, 1), dtype="f4"),
        "force": chance.random((4, 5, 5, 2), dtype="f4"),
        "t": np.tile(np.arange(3.0), (4, 1)),
    }
    write(tmp_path / "ns_incom_inhom_2d_512-0.h5", arrays)
    batch = read(tmp_path).train.all()
    assert (batch.inputs.shape[1], batch.targets.shape[1]) == (5, 3)
    np.testing.assert_array_equal(batch.inputs.numpy()[:, 3:], arrays["force"][:3].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(batch.targets.numpy()[:, 2], arrays["particles"][:3, -1, ..., 0])


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("x-coordinate", cells(7), r"expected as many coordinates as nodes, \(8,\), found \(7,\)"),
        ("x-coordinate", cells(8) ** 2, "x-coordinate: expected evenly ascending coordinates"),
        ("x-coordinate", np.full(8, np.nan), "x-coordinate: expected at least two finite coordinates"),
        ("t-coordinate", np.arange(6.0), r"t-coordinate: expected 4 times, or one more, found shape \(6,\)"),
        ("t-coordinate", np.ones((2, 5)), "t-coordinate: expected the same times for every sample"),
        ("tensor", np.zeros((6, 4)), "expected a file of PDEBench with tensor; density"),
        ("tensor", np.zeros((0, 4, 8)), r"tensor: expected values, found shape \(0, 4, 8\)"),
        ("tensor", np.full((6, 4, 8), np.inf), "tensor: expected finite values .* in sample 0"),
    ],
)
def test_odd_contents_are_named(tmp_path, key, values, message):
    foreign_files.pdebench_burgers(tmp_path)
    with h5py.File(tmp_path / BURGERS, "r+") as file:
        del file[key]
        file[key] = values
    with pytest.raises(DataError, match=rf"1D_Burgers_Sols_Nu0\.01\.hdf5: {message}"):
        read(tmp_path)


@pytest.mark.parametrize("key", ["x-coordinate", "t-coordinate", "tensor"])
def test_a_missing_array_is_named(tmp_path, key):
    foreign_files.pdebench_burgers(tmp_path)
    with h5py.File(tmp_path / BURGERS, "r+") as file:
        del file[key]
    with pytest.raises(DataError, match=rf"1D_Burgers_Sols_Nu0\.01\.hdf5: .*expected .*{key.partition('-')[0]}|{key}"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("0003/data", np.zeros((3, 4, 5, 2)), r"0003/data: expected shape \(3, 4, 4, 2\), as in 0000"),
        ("0003/grid/x", cells(4), "0003/grid/x: expected the coordinates of 0000, found others"),
        ("0000/grid/t", np.arange(9.0), "grid/t: expected 3 times"),
        ("0001/data", np.full((3, 4, 4, 2), np.nan), "0001/data: expected finite values .* in sample 1"),
    ],
)
def test_a_group_unlike_the_others_is_named(tmp_path, key, values, message):
    foreign_files.pdebench_grouped(tmp_path)
    with h5py.File(tmp_path / GROUPED, "r+") as file:
        del file[key]
        file[key] = values
    with pytest.raises(DataError, match=rf"2D_diff-react_NA_NA\.h5: {message}"):
        read(tmp_path)


def test_a_name_no_problem_has_is_refused(tmp_path):
    foreign_files.pdebench_grouped(tmp_path)
    (tmp_path / GROUPED).rename(tmp_path / "other.h5")
    with pytest.raises(DataError, match="expected a file of PDEBench with 2D_diff-react, 2D_rdb, 1D_diff-sorp"):
        read(tmp_path)
