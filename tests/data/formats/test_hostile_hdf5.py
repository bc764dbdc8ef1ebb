"""HDF5 files of foreign formats that lead elsewhere or pretend a size; `hostile_hdf5` has the tricks."""

import foreign_files
import h5py
import numpy as np
import pytest
from hostile_hdf5 import SHAPE, TRICKS, gzip

from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset

# (writer, file, an array and a group on the way to it)
PLACES = [
    (foreign_files.navier_stokes_mat, "ns_V1e-3_N6_T3.mat", "u"),
    (foreign_files.pdebench_burgers, "1D_Burgers_Sols_Nu0.01.hdf5", "tensor"),
    (foreign_files.pdebench_burgers, "1D_Burgers_Sols_Nu0.01.hdf5", "x-coordinate"),
    (foreign_files.pdebench_grouped, "2D_diff-react_NA_NA.h5", "0002/data"),
    (foreign_files.pdebench_grouped, "2D_diff-react_NA_NA.h5", "0000/grid"),
    (foreign_files.well_folder, "data/test/toy_0000.hdf5", "t1_fields/velocity"),
    (foreign_files.well_folder, "data/train/toy_0001.hdf5", "t0_fields"),
    (foreign_files.well_folder, "data/train/toy_0000.hdf5", "dimensions/x"),
    (foreign_files.well_folder, "data/train/toy_0000.hdf5", "boundary_conditions/x_periodic/mask"),
]


@pytest.mark.parametrize(("write", "name", "key"), PLACES, ids=[f"{name}-{key}" for _, name, key in PLACES])
@pytest.mark.parametrize("trick", [trick for trick in TRICKS if trick is not gzip], ids=lambda trick: trick.__name__)
def test_tricks_are_refused_by_file(tmp_path, write, name, key, trick):
    outside = tmp_path / "outside.h5"
    with h5py.File(outside, "w") as file:
        file.create_dataset("inputs", data=np.ones(SHAPE, "f4"))
    folder = tmp_path / "data set"
    folder.mkdir()
    write(folder)
    path = folder / name
    with h5py.File(path, "r+") as file:
        del file[key]
        trick(file, outside)
        if file.get("inputs", getlink=True) is not None:
            file.move("inputs", key)
    with pytest.raises(DataError, match=rf"{path.name}: "):
        open_dataset(folder)
