import numpy as np
import pytest
import torch

from opnet.core.errors import DataError
from opnet.data.batch import ArrayDataset
from opnet.data.formats.axes import boundary_notes, check_times, checked_frames, grid_of, resolved_frames
from opnet.spaces.grid import Grid


@pytest.mark.parametrize("nodes", ["cell", "vertex", "left"])
def test_the_grid_of_a_grids_own_nodes_is_that_grid(nodes):
    grid = Grid((16, 9), ((-2.5, 2.5), (0, 3)), boundary="neumann", nodes=nodes)
    coordinates = [grid.axis(i).numpy().astype("f4") for i in (0, 1)]
    assert grid_of(coordinates, ["x", "y"], nodes=nodes, boundary="neumann") == grid


@pytest.mark.parametrize(
    "coordinates", [[0, 1, 2.1], [0, 0, 0], [2, 1, 0], [0.0], [[0, 1], [2, 3]], [0, np.nan, 2], [0, 1, np.inf]]
)
def test_uneven_coordinates_are_refused(coordinates):
    with pytest.raises(DataError, match="f: x: expected"):
        grid_of([np.array(coordinates)], ["f: x"], nodes="cell", boundary="periodic")


def test_one_time_more_than_frames_is_noted():
    times, notes = check_times(np.linspace(0, 2, 6), 5, "f: t")
    np.testing.assert_allclose(times, [0, 0.4, 0.8, 1.2, 1.6])
    assert "one time more than there are frames (6 and 5)" in notes[0]
    assert check_times(np.arange(5), 5, "f: t")[1] == ()
    for bad in (np.arange(7), np.arange(5)[::-1], np.array([0, 1, 2, 3, np.nan])):
        with pytest.raises(DataError, match="f: t: expected"):
            check_times(bad, 5, "f: t")


def test_frames_are_counted_from_both_ends():
    assert resolved_frames("target_frames", checked_frames("target_frames", [0, -1]), 5) == (0, 4)
    for bad in ((5,), (-6,)):
        with pytest.raises(ValueError, match="target_frames: expected frames from -5 to 4"):
            resolved_frames("target_frames", bad, 5)
    for bad in ([], 3, [1.5], "01"):
        with pytest.raises(ValueError, match="frames: expected"):
            checked_frames("frames", bad)


def test_boundary_values_are_told():
    grid = Grid((32,), nodes="cell")
    x = grid.axis(0, torch.float32)
    waves = ArrayDataset(*[torch.sin(torch.pi * x)[None, None]] * 2, grid)
    assert "first and last nodes of axis 0 averages 7.70% and 7.70% of its mean" in boundary_notes(waves)[0]
    periodic = Grid((32,), boundary="periodic", nodes="cell")
    assert boundary_notes(ArrayDataset(*[torch.sin(2 * torch.pi * x)[None, None]] * 2, periodic)) == ()
    ramp = boundary_notes(ArrayDataset(*[x[None, None]] * 2, periodic))
    assert "not quite periodic on axis 0: from the last node to the first they change by 0.97" in ramp[0]
