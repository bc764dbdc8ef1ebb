from math import pi

import pytest
import torch

from opnet.spaces.grid import Grid
from opnet.spaces.resampling import resample

PLACED = [
    (Grid((32, 48), boundary="periodic"), (8, 12)),
    (Grid((32, 48), boundary="periodic", nodes="cell"), (8, 12)),
    (Grid((33, 49), boundary="neumann", nodes="vertex"), (9, 13)),
    (Grid((32, 48), boundary="neumann", nodes="cell"), (8, 12)),
    (Grid((31, 47), boundary="dirichlet", nodes="interior"), (7, 11)),
    (Grid((32, 48), boundary="dirichlet", nodes="cell"), (8, 12)),
    (Grid((33, 49), boundary="dirichlet", nodes="vertex"), (9, 13)),
]
IDS = [f"{grid.boundary[0][0]}-{grid.nodes[0]}" for grid, _ in PLACED]


def wave(grid, k):
    x, y = grid.coordinates()
    kind = grid.boundary[0][0]
    f = {"periodic": lambda z: torch.cos(2 * pi * k * z + 1), "neumann": lambda z: torch.cos(pi * k * z)}
    g = f.get(kind, lambda z: torch.sin(pi * k * z))
    return (g(x) * g(y))[None, None]


@pytest.mark.parametrize(("grid", "shape"), PLACED, ids=IDS)
def test_spectral_keeps_what_is_resolved_and_drops_the_rest(grid, shape):
    k = 3
    coarse, target = resample(wave(grid, k), grid, shape, "spectral")
    torch.testing.assert_close(coarse, wave(target, k), rtol=0, atol=1e-12)
    high = 13 if grid.boundary[0][0] != "periodic" else 11
    gone, _ = resample(wave(grid, high), grid, shape, "spectral")
    assert float(gone.abs().max()) < 1e-12


@pytest.mark.parametrize(("grid", "shape"), PLACED, ids=IDS)
def test_full_weighting_keeps_constants_and_damps_the_unresolved(grid, shape):
    if grid.nodes[0] == "interior":
        ones, _ = resample(torch.ones(1, 1, *grid.shape).double(), grid, shape, "full_weighting")
        torch.testing.assert_close(ones, torch.ones_like(ones))
        return
    ones, target = resample(torch.ones(2, 3, *grid.shape).double(), grid, shape, "full_weighting")
    assert ones.shape == (2, 3, *target.shape)
    torch.testing.assert_close(ones, torch.ones_like(ones))
    smooth, _ = resample(wave(grid, 1), grid, shape, "full_weighting")
    assert float((smooth - wave(target, 1)).abs().max()) < 0.12
    checkerboard = (-1.0) ** (torch.arange(grid.shape[0])[:, None] + torch.arange(grid.shape[1]))
    damped, _ = resample(checkerboard[None, None].double(), grid, shape, "full_weighting")
    assert float(damped[..., 1:-1, 1:-1].abs().max()) < 1e-12


@pytest.mark.parametrize(
    ("grid", "shape"),
    [p for p in PLACED if p[0].nodes[0] != "cell"] + [(Grid((27, 45), nodes="cell"), (9, 15))],
    ids=[i for i in IDS if "cell" not in i] + ["odd cells"],
)
def test_strides_take_values_at_the_coarse_nodes(grid, shape):
    coarse, target = resample(wave(grid, 2), grid, shape, "stride")
    torch.testing.assert_close(coarse, wave(target, 2), rtol=0, atol=1e-12)


def test_any_number_of_nodes_is_spectral():
    grid = Grid((30,), boundary="periodic")

    def f(g):
        return torch.cos(2 * pi * 2 * g.axis(0))[None, None]

    torch.testing.assert_close(resample(f(grid), grid, 7, "spectral")[0], f(grid.resized(7)))


def test_many_nodes_cost_no_matrix_of_waves():
    fine = Grid((1 << 16,), boundary="periodic")  # nodes to the square would be 16 GiB
    coarse, target = resample(torch.cos(2 * pi * 5 * fine.axis(0))[None, None], fine, 1 << 15, "spectral")
    torch.testing.assert_close(coarse[0, 0], torch.cos(2 * pi * 5 * target.axis(0)))


def test_single_precision_stays():
    grid = Grid((16,), boundary="periodic", nodes="cell")
    assert resample(torch.rand(2, 1, 16), grid, 8, "spectral")[0].dtype == torch.float32


@pytest.mark.parametrize(
    ("grid", "shape", "how", "message"),
    [
        (Grid((8,), nodes="cell"), 16, "spectral", "shape: expected at most"),
        (Grid((8,), nodes="cell"), 4, "bilinear", "how: expected one of spectral"),
        (Grid((8,), nodes="cell"), 4, "stride", "the middle of 2 cells is none's"),
        (Grid((8,), boundary="periodic"), 3, "stride", "expected a divisor of the 8 intervals"),
        (Grid((9,), boundary="periodic"), 3, "full_weighting", "halves: expected half"),
        (Grid((8,), boundary="robin", nodes="cell"), 4, "spectral", "expects one of periodic, dirichlet, neumann"),
    ],
)
def test_what_cannot_be_done_is_said(grid, shape, how, message):
    with pytest.raises(ValueError, match=message):
        resample(torch.zeros(1, 1, *grid.shape), grid, shape, how)
