import foreign_files
import h5py
import numpy as np
import pytest

from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset
from opnet.spaces.grid import Grid

FIRST = "data/train/toy_0000.hdf5"


@pytest.fixture
def arrays(tmp_path):
    return foreign_files.well_folder(tmp_path)


def change(path, key, values, **attributes):
    with h5py.File(path, "r+") as file:
        kept = dict(file[key].attrs) if key in file else {}
        if key in file:
            del file[key]
        file[key] = values
        file[key].attrs.update({**kept, **attributes})


def test_trajectories_are_read_across_files(tmp_path, arrays):
    splits = open_dataset(tmp_path, input_frames=[0, 1])
    assert (len(splits.train), len(splits.test)) == (5, 3)
    train, batch = arrays["train"], splits.train.batch([4, 0, 2])
    stress = train.fields["stress"].reshape(5, 3, 4, 6, 4)
    for i, sample in enumerate((4, 0, 2)):
        for frame in (0, 1):
            first = batch.inputs[i, 7 * frame :].numpy()
            np.testing.assert_array_equal(first[0], train.fields["pressure"][sample, frame])
            np.testing.assert_array_equal(first[1:3], np.moveaxis(train.fields["velocity"][sample, frame], -1, 0))
            np.testing.assert_array_equal(first[3:7], np.moveaxis(stress[sample, frame], -1, 0))
        np.testing.assert_array_equal(batch.inputs[i, -1].numpy(), train.constants["density"][sample])
        np.testing.assert_array_equal(batch.targets[i, 0].numpy(), train.fields["pressure"][sample, -1])
    assert batch.inputs.shape[1:] == (15, 4, 6)
    assert batch.targets.shape[1:] == (7, 4, 6)
    np.testing.assert_array_equal(batch.parameters["viscosity"], train.parameters["viscosity"][[4, 0, 2]])
    assert splits.provenance["channels"][:4] == ["pressure", "velocity[0]", "velocity[1]", "stress[0,0]"]
    assert splits.provenance["times"] == [0, 0.5, 1]


def test_boundaries_and_nodes_come_from_masks_and_coordinates(tmp_path, arrays):
    grid = open_dataset(tmp_path).train.grid
    assert grid.boundary == (("periodic", "periodic"), ("dirichlet", "neumann"))
    assert grid == Grid((4, 6), boundary=grid.boundary)
    with h5py.File(tmp_path / FIRST, "r+") as file:
        del file["boundary_conditions/y_open"]
    for path in (tmp_path / "data").rglob("*.hdf5"):
        path.write_bytes((tmp_path / FIRST).read_bytes())
    assert "No boundary is stated at an end of axis 'y'; it is read as open." in open_dataset(tmp_path).notes


def test_splits_and_numbers_are_options(tmp_path, arrays):
    assert len(open_dataset(tmp_path, n_train=2, n_test=0.34).train) == 2
    (tmp_path / "data/test").rename(tmp_path / "data/valid")
    assert len(open_dataset(tmp_path, test_split="valid").test) == 3
    with pytest.raises(DataError, match=r"test: expected files ending in \.hdf5 or \.h5, found none"):
        open_dataset(tmp_path)
    with pytest.raises(ValueError, match="test_split: expected one of test, valid, found 'train'"):
        open_dataset(tmp_path, test_split="train")
    with pytest.raises(ValueError, match="n_train: expected at most 5 samples, as the files have, found 6"):
        open_dataset(tmp_path, test_split="valid", n_train=6)


def test_axes_that_do_not_vary_may_be_short_or_left_out(tmp_path, arrays):
    profile = np.arange(6.0, dtype="f4")
    for path in sorted((tmp_path / "data").rglob("*.hdf5")):
        varying = {"dim_varying": [False, True], "sample_varying": False, "time_varying": False}
        change(path, "t0_fields/density", profile, **varying)
        change(path, "t0_fields/short", profile[None], **varying)
        with h5py.File(path, "r+") as file:
            file["t0_fields"].attrs["field_names"] = ["pressure", "density", "short"]
    inputs = open_dataset(tmp_path).train.all().inputs.numpy()
    for channel in (1, 2):
        np.testing.assert_array_equal(inputs[:, 6 + channel - 0], np.broadcast_to(profile, (5, 4, 6)))


def test_stats_are_reported_and_their_lack_noted(tmp_path, arrays):
    stats = open_dataset(tmp_path).provenance["stats"]
    steps = np.diff(arrays["train"].fields["velocity"].astype("f8"), axis=1)
    np.testing.assert_allclose(stats["std_delta"]["velocity"], steps.std((0, 1, 2, 3)), rtol=1e-12)
    (tmp_path / "stats.yaml").write_text("mean:\n  pressure: 0.5\n")
    assert "stats.yaml has no mean of density, stress, velocity." in open_dataset(tmp_path).notes
    (tmp_path / "stats.yaml").unlink()
    assert "There is no stats.yaml." in open_dataset(tmp_path).notes


def test_scalars_that_move_and_odd_boundaries_are_noted(tmp_path, arrays):
    for path in (tmp_path / "data").rglob("*.hdf5"):
        change(path, "scalars/gravity", np.arange(3.0), sample_varying=False, time_varying=True)
        with h5py.File(path, "r+") as file:
            file["scalars"].attrs["field_names"] = ["viscosity", "gravity"]
            group = file.create_group("boundary_conditions/body")
            group.attrs.update({"bc_type": "wall", "associated_dims": ["x", "y"]})
    notes = " ".join(open_dataset(tmp_path).notes)
    assert "The scalar 'gravity' varies in time and is not read." in notes
    assert "The boundary 'body' is not that of one axis" in notes


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("dimensions/x", np.arange(5.0), r"expected shape .* by its attributes|mask: expected shape \(5,\)"),
        ("dimensions/y", np.arange(6.0) ** 2, "dimensions/y: expected evenly ascending coordinates"),
        ("dimensions/time", np.arange(4.0), r"t0_fields/pressure: expected shape \(2, 4, 4, 6\)"),
        ("dimensions/time", np.zeros(3), "dimensions/time: expected finite ascending times"),
        ("t1_fields/velocity", np.zeros((2, 3, 4, 6)), r"velocity: expected shape \(2, 3, 4, 6, 2\)|expected shape"),
        ("t1_fields/velocity", np.zeros((2, 3, 4, 6, 3)), r"velocity: expected shape \(2, 3, 4, 6, 2\)"),
        ("t0_fields/pressure", np.full((2, 3, 4, 6), np.nan), "t0_fields/pressure: expected finite values"),
        ("scalars/viscosity", np.zeros(3), r"scalars/viscosity: expected finite numbers, found shape \(3,\)"),
        ("boundary_conditions/x_periodic/mask", np.ones(3, bool), r"mask: expected shape \(4,\), found \(3,\)"),
    ],
)
def test_odd_contents_are_named(tmp_path, arrays, key, values, message):
    change(tmp_path / FIRST, key, values)
    with pytest.raises(DataError, match=rf"toy_0000\.hdf5: .*({message})"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("key", "name", "value", "message"),
    [
        ("/", "grid_type", "spherical", "grid_type: expected cartesian"),
        ("/", "n_trajectories", -1, "n_trajectories: expected a positive integer, found -1"),
        ("/", "n_spatial_dims", 3, r"dimensions: expected 3 spatial_dims, 1 to 3, found \['x', 'y'\]"),
        ("/", "dataset_name", "other", "expected the name of"),
        ("boundary_conditions/x_periodic", "bc_type", "SLIP", "bc_type: expected WALL, OPEN, PERIODIC, found 'SLIP'"),
        ("t0_fields", "field_names", ["pressure", "missing"], "t0_fields/missing: expected a data set"),
        ("t0_fields", "field_names", ["../x"], "expected a path of groups"),
        ("t0_fields", "field_names", np.zeros(100_000), "field_names: expected numbers or text"),
        ("t0_fields", "field_names", None, "expected the attribute 'field_names'"),
    ],
)
def test_odd_attributes_are_named(tmp_path, arrays, key, name, value, message):
    with h5py.File(tmp_path / FIRST, "r+", libver="latest") as file:
        del file[key].attrs[name]
        if value is not None:
            file[key].attrs[name] = value
    with pytest.raises(DataError, match=rf"toy_000[01]\.hdf5: .*{message}"):
        open_dataset(tmp_path)


def test_files_unlike_the_first_are_refused(tmp_path, arrays):
    path = tmp_path / "data/test/toy_0001.hdf5"
    with h5py.File(path, "r+") as file:
        file["t1_fields"].attrs["field_names"] = np.array([], dtype=h5py.string_dtype())
    with pytest.raises(DataError, match=r"toy_0001\.hdf5: expected the names of toy_0000\.hdf5"):
        open_dataset(tmp_path)
