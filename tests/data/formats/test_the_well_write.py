import foreign_files
import h5py
import numpy as np
import pytest
import torch
from fault_injection import fingerprint
from killed_generation import RECIPE

from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset
from opnet.data.formats.the_well_write import WellArrays, write_the_well
from opnet.data.generate import generate
from opnet.spaces.grid import Grid


@pytest.fixture
def splits(tmp_path):
    generate(RECIPE, tmp_path / "store")
    return open_dataset(tmp_path / "store")


def test_a_store_goes_there_and_back(tmp_path, splits):
    write_the_well(splits, tmp_path / "well", name="poisson", inputs=["f"], targets=["u"], samples_per_file=8)
    back = open_dataset(tmp_path / "well")
    assert torch.equal(back.train.all().inputs, splits.train.all().inputs)
    assert torch.equal(back.test.all().targets, splits.test.all().targets)
    for axis in range(back.train.grid.dim):
        found, expected = back.train.grid.axis(axis), splits.train.grid.axis(axis)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert back.notes == tuple(note for note in back.notes if "averages" in note)  # sums are listed
    assert len(list((tmp_path / "well/data/train").iterdir())) == 3


def test_maps_of_a_field_to_itself_are_two_frames(tmp_path, splits):
    write_the_well(splits, tmp_path / "well", name="p", inputs=["u"], targets=["u"], times=(0.0, 2.0))
    back = open_dataset(tmp_path / "well")
    assert back.provenance["times"] == [0, 2]
    assert torch.equal(back.train.all().inputs, splits.train.all().inputs)
    assert torch.equal(back.train.all().targets, splits.train.all().targets)


def test_the_files_have_what_the_well_specifies(tmp_path):
    foreign_files.well_folder(tmp_path)
    with h5py.File(tmp_path / "data/train/toy_0000.hdf5") as file:
        root = {"dataset_name": "toy", "grid_type": "cartesian", "n_spatial_dims": 2, "n_trajectories": 2}
        assert root.items() <= dict(file.attrs).items()
        assert list(file["dimensions"].attrs["spatial_dims"]) == ["x", "y"]
        assert file["dimensions/time"].shape == (3,)
        assert not file["dimensions/x"].attrs["sample_varying"]
        wall = file["boundary_conditions/y_wall"]
        assert (wall.attrs["bc_type"], list(wall.attrs["associated_dims"])) == ("WALL", ["y"])
        assert wall["mask"][:].tolist() == [True] + 5 * [False]
        assert wall["mask"].dtype == bool
        fields = {order: list(file[f"t{order}_fields"].attrs["field_names"]) for order in range(3)}
        assert fields == {0: ["pressure", "density"], 1: ["velocity"], 2: ["stress"]}
        stress = file["t2_fields/stress"]
        assert (stress.shape, stress.dtype) == ((2, 3, 4, 6, 2, 2), np.float32)
        assert stress.attrs["time_varying"]
        assert stress.attrs["dim_varying"].tolist() == [True, True]
        assert not file["t0_fields/density"].attrs["time_varying"]


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    for name in "ab":
        foreign_files.well_folder(tmp_path / name)
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")


def test_a_killed_writer_leaves_no_sums(tmp_path):
    class Interrupted(dict):
        def items(self):
            yield "train", self["train"]
            if self["written"]:
                raise KeyboardInterrupt
            self["written"] = True
            yield "test", self["train"]

        def keys(self):
            return {"train": 0}.keys()

    with pytest.raises(KeyboardInterrupt):
        write_the_well(Interrupted(train=foreign_files.well_arrays(4, 0), written=False), tmp_path / "w", name="toy")
    assert not (tmp_path / "w/SHA256SUMS").exists()
    with pytest.raises(ValueError, match="expected a new or empty folder, found one that holds something"):
        write_the_well({"train": foreign_files.well_arrays(4, 0)}, tmp_path / "w", name="toy")


def test_damage_to_what_was_written_is_refused(tmp_path):
    write_the_well({split: foreign_files.well_arrays(2, 0) for split in ("train", "test")}, tmp_path, name="toy")
    path = tmp_path / "data/train/toy_0000.hdf5"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"toy_0000\.hdf5: expected sha256"):
        open_dataset(tmp_path)


GRID = Grid((3, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"times": (1.0, 0.0)}, "times: expected ascending times"),
        ({"fields": {}}, "expected at least one field"),
        ({"fields": {"u": np.zeros((2, 2, 3, 5))}}, r"u: expected finite values of shape \(2, 2, 3, 4\)"),
        ({"fields": {"u": np.full((2, 2, 3, 4), np.nan)}}, "u: expected finite values"),
        ({"fields": {"u": np.zeros((2, 2, 3, 4, 3))}}, "up to 2 axes of 2 components"),
        ({"constants": {"a": np.zeros((3, 3, 4))}}, r"a: expected finite values of shape \(2, 3, 4\)"),
        ({"constants": {"u": np.zeros((2, 3, 4))}}, "each name once"),
        ({"parameters": {"nu": np.zeros((2, 1))}}, r"nu: expected finite values of shape \(2,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_named(arguments, message):
    sound = {"grid": GRID, "times": (0.0, 1.0), "fields": {"u": np.zeros((2, 2, 3, 4))}}
    with pytest.raises(ValueError, match=message):
        WellArrays(**{**sound, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": ["f", "g"]}, "inputs: expected 1 different names, one a channel"),
        ({"targets": ["u", "v"]}, "targets: expected 1 different names"),
        ({"targets": ["f"]}, "expected different names without times"),
        ({"times": (0.0, 1.0)}, "expected the same names with times"),
        ({"name": "../up"}, "expected a name of letters, digits and _"),
        ({"samples_per_file": 0}, "a positive number"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, splits, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_the_well(splits, tmp_path / "w", **{"name": "p", "inputs": ["f"], "targets": ["u"], **arguments})
    assert not (tmp_path / "w").exists()


def test_other_splits_and_beyond_float32_are_refused(tmp_path):
    arrays = foreign_files.well_arrays(2, 0)
    with pytest.raises(ValueError, match="expected splits of train, valid, test, train among them, found"):
        write_the_well({"test": arrays}, tmp_path / "w", name="toy")
    other = WellArrays(GRID, (0.0,), {"pressure": np.zeros((1, 1, 3, 4))})
    with pytest.raises(ValueError, match="data: test: expected the grid, fields and parameters of train"):
        write_the_well({"train": arrays, "test": other}, tmp_path / "w", name="toy")
    large = WellArrays(GRID, (0.0,), {"u": np.full((1, 1, 3, 4), 1e300)})
    with pytest.raises(ValueError, match="u: expected values that float32 holds"):
        write_the_well({"train": large}, tmp_path / "v", name="toy")
