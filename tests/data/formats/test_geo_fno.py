import foreign_files
import numpy as np
import pytest

from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset
from opnet.graphs.graph import Graph
from opnet.spaces.grid import Grid


def test_pipes_map_positions_of_the_mesh_to_the_first_quantity(tmp_path):
    arrays = foreign_files.geo_pipe(tmp_path)
    splits = open_dataset(tmp_path, n_train=3, n_test=2)
    batch = splits.test.batch([1, 0])
    np.testing.assert_array_equal(batch.inputs[:, 1], arrays["Y"][[5, 4]].astype("f4"))
    np.testing.assert_array_equal(batch.targets[:, 0], arrays["Q"][[5, 4], 0].astype("f4"))
    assert splits.train.grid == Grid((4, 5))
    assert "The meshes are curved" in splits.notes[0]


def test_airfoils_map_them_to_the_fifth(tmp_path):
    chance = np.random.default_rng(0)
    arrays = {"X": chance.random((6, 4, 5)), "Y": chance.random((6, 4, 5)), "Q": chance.random((6, 5, 4, 5))}
    for name, values in arrays.items():
        np.save(tmp_path / f"NACA_Cylinder_{name}.npy", values)
    targets = open_dataset(tmp_path).train.all().targets
    np.testing.assert_array_equal(targets[:, 0], arrays["Q"][:5, 4].astype("f4"))
    np.save(tmp_path / "NACA_Cylinder_Q.npy", arrays["Q"][:, :4])
    with pytest.raises(DataError, match=r"NACA_Cylinder_Q\.npy: expected 4 axes, 5 quantities, found shape \(6, 4, 4"):
        open_dataset(tmp_path)


def test_elastic_points_are_nodes_without_edges(tmp_path):
    positions, stress = foreign_files.geo_elasticity(tmp_path)
    data = open_dataset(tmp_path, n_test=1).train
    assert isinstance(data.whole.domain, Graph)
    np.testing.assert_array_equal(data.all().inputs, positions[..., :5].transpose(2, 0, 1).astype("f4"))
    np.testing.assert_array_equal(data.all().targets[..., 0], stress[:, :5].T.astype("f4"))


def test_interpolated_elasticity_has_its_samples_last(tmp_path):
    chance = np.random.default_rng(0)
    arrays = {name: chance.random((4, 5, 6)) for name in ("mask", "sigma")}
    for name, values in arrays.items():
        np.save(tmp_path / f"Random_UnitCell_{name}_10_interp.npy", values)
    batch = open_dataset(tmp_path).train.batch([3])
    np.testing.assert_array_equal(batch.inputs[0, 0], arrays["mask"][..., 3].astype("f4"))
    np.testing.assert_array_equal(batch.targets[0, 0], arrays["sigma"][..., 3].astype("f4"))


def test_problems_are_told_by_files_or_named(tmp_path):
    foreign_files.geo_pipe(tmp_path)
    foreign_files.geo_elasticity(tmp_path)
    with pytest.raises(DataError, match=r"found those of elasticity, pipe; choose by problem=\.\.\."):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path, problem="pipe").train.grid == Grid((4, 5))
    with pytest.raises(ValueError, match="problem: expected one of elasticity, elasticity_grid, pipe, naca, found"):
        open_dataset(tmp_path, problem="plasticity", format="geo_fno")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("X", np.ones((5, 4, 5)), r"Pipe_X\.npy: expected the samples and nodes of Pipe_Q\.npy, \[6, 4, 5\], found"),
        ("X", np.ones((6, 4)), r"Pipe_X\.npy: expected 3 axes"),
        ("Y", np.full((6, 4, 5), np.inf), r"Pipe_Y\.npy: : expected finite values"),
        ("Q", np.ones((6, 3, 4, 5), complex), r"Pipe_Q\.npy: expected real numbers"),
    ],
)
def test_odd_contents_are_named(tmp_path, name, values, message):
    foreign_files.geo_pipe(tmp_path)
    np.save(tmp_path / f"Pipe_{name}.npy", values)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path).train.all()
