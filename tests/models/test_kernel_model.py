from itertools import pairwise

import pytest
import torch

from opnet.models.gno import GNO
from opnet.models.lno import LNO
from opnet.models.multipole_gno import MultipoleGNO
from opnet.spaces.grid import Grid

SMALL = {"width": 4, "layers": 2, "hidden": (6,)}
MODELS = [
    (GNO, {"radius": 0.3}),
    (GNO, {"radius": 0.3, "sees_input": True, "neighbours": 9}),
    (GNO, {"radius": 0.3, "window": "flat", "kernel": "diagonal"}),
    (LNO, {"rank": 3}),
    (LNO, {"rank": 3, "sees_input": True}),
    (MultipoleGNO, {"radius": 0.2, "levels": 3}),
    (MultipoleGNO, {"radius": 0.2, "levels": 2, "neighbours": 9, "sees_input": True}),
]
each_model = pytest.mark.parametrize(("kind", "options"), MODELS)


def make(kind, options, dim=2, channels=(2, 1)):
    torch.manual_seed(0)
    return kind(*channels, dim=dim, **SMALL, **options).double().eval()


@each_model
@pytest.mark.parametrize("nodes", ["vertex", "cell"])
def test_a_grid_and_its_nodes_in_another_order_are_one(kind, options, nodes):
    model = make(kind, options)
    grid = Grid((9, 8), nodes=nodes, extent=((0, 1), (2, 2.5)))
    inputs = torch.randn(3, 2, 9, 8, dtype=torch.float64)
    order = torch.randperm(72)
    positions = grid.coordinates().flatten(1).T[order] - torch.tensor([0.0, 2.0])
    outputs = model.forward_points(inputs.flatten(2).mT[:, order], positions, grid.weights().flatten()[order])
    assert outputs.shape == (3, 72, 1)
    assert torch.allclose(outputs, model(inputs, grid).flatten(2).mT[:, order])
    assert float(outputs.detach().std()) > 1e-3


@each_model
@pytest.mark.parametrize("dim", [1, 3])
def test_other_dimensions(kind, options, dim):
    model = make(kind, options, dim)
    assert model(torch.randn(2, 2, *(5, 4, 6)[:dim], dtype=torch.float64)).shape == (2, 1, *(5, 4, 6)[:dim])


@each_model
def test_periodic_boxes_have_no_seam(kind, options):
    """Around the axis, nodes 0 and n - 1 are neighbours: a change at one is felt at the other alike."""
    model = make(kind, {**options, "radius": 0.15} if "radius" in options else options, dim=1, channels=(1, 1))
    grid = Grid((16,), boundary="periodic")
    inputs = torch.zeros(2, 1, 16, dtype=torch.float64)
    inputs[1, 0, 0] = 1.0
    change = (model(inputs[1:], grid) - model(inputs[:1], grid)).flatten().abs()
    assert float(change[-1].detach()) > 0


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (GNO, {"radius": 0.1}),
        (LNO, {"rank": 3, "sees_input": True}),
        (MultipoleGNO, {"radius": 0.05, "levels": 3}),
    ],
)
def test_clouds_of_more_points_approach_one_answer(kind, options):
    """Points of a density that is not uniform, with its inverse as weights, against the grid's answer."""
    model = make(kind, options, dim=1, channels=(1, 1))

    def answer(n, density):
        s = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        points, weights = (s, None) if density == "uniform" else (s**1.5, 1.5 * s**0.5)
        field = torch.cos(5 * points)[None, :, None]
        u = model.forward_points(field, points[:, None], weights)[0, :, 0].detach()
        at = torch.searchsorted(points, torch.linspace(0.1, 0.9, 9, dtype=torch.float64)).clamp(max=n - 1)
        return torch.stack([points[at], u[at]])

    fine, u = answer(1600, "uniform")
    errors = []
    for n in (50, 200, 800):
        x, values = answer(n, "dense at 0")
        # The nodes differ by less than a spacing, over which u hardly changes.
        errors.append(float((values - u).norm() / u.norm()))
        assert float((x - fine).abs().max()) < 3 / n
    assert errors[-1] < 5e-3
    assert all(b < 0.5 * a for a, b in pairwise(errors))


def test_reach_is_the_radius_for_local_kernels_and_the_box_for_the_others():
    grid = Grid((21,))
    inputs = torch.zeros(2, 1, 21, dtype=torch.float64)
    inputs[1, 0, 0] = 1.0
    reach = {}
    for kind, options in ((GNO, {"radius": 0.15}), (MultipoleGNO, {"radius": 0.15, "levels": 3}), (LNO, {})):
        change = make(kind, options, 1, (1, 1))(inputs, grid).diff(dim=0).flatten().abs()
        reach[kind] = int(torch.nonzero(change > 1e-14).max())
    # Two layers, each of less than three spacings: at the third, the window is zero.
    assert reach == {GNO: 4, MultipoleGNO: 20, LNO: 20}


def test_geometry_is_made_once_for_the_same_points(monkeypatch):
    model = make(GNO, {"radius": 0.3})
    made = []
    geometry = model.geometry
    monkeypatch.setattr(model, "geometry", lambda points: made.append(points.n) or geometry(points))
    inputs = torch.randn(1, 2, 9, 9, dtype=torch.float64)
    for nodes in ("vertex", "cell", "vertex"):
        model(inputs, Grid((9, 9), nodes=nodes))
    model.forward_points(
        inputs.flatten(2).mT, Grid((9, 9)).coordinates().flatten(1).T, Grid((9, 9)).weights().flatten()
    )
    assert made == [81, 81]


@each_model
def test_points_that_do_not_fit_are_refused(kind, options):
    model = make(kind, options)
    values, points = torch.zeros(1, 7, 2, dtype=torch.float64), torch.rand(7, 2)
    for wrong, message in (
        ((values[0], points), r"values: expected \(batch, 7, 2\).* found \(7, 2\)"),
        ((values[:, :6], points), r"values: expected \(batch, 7, 2\).* found \(1, 6, 2\)"),
        ((values[..., :1], points), r"values: expected \(batch, 7, 2\)"),
        ((values[:0], points), r"values: expected \(batch, 7, 2\)"),
        ((values.float(), points), "values: expected torch.float64, the model's dtype, found torch.float32"),
        ((values, torch.rand(7, 3)), r"points: expected \(point, 2\), found \(7, 3\)"),
        ((values, points, torch.zeros(7)), "weights: expected 7 positive numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            model.forward_points(*wrong)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (GNO, {"width": 0}, "GNO: width: expected at least 1, found 0"),
        (GNO, {"radius": 0.0}, "GNO: radius: expected a positive number, found 0.0"),
        (GNO, {"radius": float("inf")}, "GNO: radius: expected a positive number, found inf"),
        (GNO, {"kernel": "full"}, "GNO: kernel: expected one of matrix, diagonal, found 'full'"),
        (GNO, {"window": "round"}, "GNO: window: expected one of smooth, flat, found 'round'"),
        (GNO, {"neighbours": 0}, "GNO: neighbours: expected at least 1, found 0"),
        (GNO, {"hidden": ()}, "GNO: hidden: expected one or more positive integers"),
        (LNO, {"rank": 0}, "LNO: rank: expected at least 1, found 0"),
        (LNO, {"dim": 0}, "LNO: dim: expected at least 1, found 0"),
        (MultipoleGNO, {"levels": 0}, "MultipoleGNO: levels: expected at least 1, found 0"),
    ],
)
def test_wrong_arguments_are_named(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(1, 1, **arguments)
