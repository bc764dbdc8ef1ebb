from math import pi

import pytest
import torch

from opnet.data.batch import ArrayDataset
from opnet.models.base import build_model
from opnet.models.normalised import Normalised
from opnet.models.pod_deeponet import PODDeepONet
from opnet.spaces.grid import Grid
from opnet.spaces.pod import pod

GRID = Grid((24,), extent=((0, 2),))


def data(n=12, grid=GRID):
    """-u'' = f, u = 0 at both ends, of three sine waves."""
    x = grid.unit_coordinates()[0]
    k = pi * torch.arange(1, 4, dtype=torch.float64)[:, None]
    c = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return (c @ torch.sin(k * x))[:, None], (c @ (torch.sin(k * x) / k**2))[:, None]


def adapted(**options):
    torch.manual_seed(0)
    model = PODDeepONet(1, 1, (24,), 3, (16,), sensor_nodes="vertex", **options).double()
    model.adapt(*data(), GRID)
    return model


def test_the_answer_is_the_sum_over_the_modes_of_the_training_outputs():
    model, (f, u) = adapted(), data()
    basis = pod(u, GRID, 3)
    coefficients = model.branch(f.flatten(1)) * basis.singular_values
    assert torch.allclose(model(f, GRID), basis.reconstruct(coefficients))
    assert float(model(f, GRID)[..., [0, -1]].detach().abs().max()) < 1e-12


@pytest.mark.parametrize("grid", [GRID, Grid((31,), extent=((0, 2),), nodes="cell")])
def test_points_shared_and_of_each_sample_answer_as_the_nodes(grid):
    model, (f, _) = adapted(), data(grid=grid)
    at_nodes, points = model(f, grid), grid.coordinates().T
    assert torch.allclose(model(f, grid, points), at_nodes)
    order = torch.stack([torch.randperm(len(points)) for _ in f])
    found = model(f, grid, points[order])
    assert torch.allclose(found, at_nodes.gather(2, order[:, None]))


def test_on_finer_grids_the_modes_are_interpolated():
    model, fine = adapted(), Grid((93,), extent=((0, 2),))
    assert torch.allclose(model(data(grid=fine)[0], fine)[..., ::4], model(data()[0], GRID))


def test_basis_and_scales_travel_with_config_and_weights():
    model, (f, _) = adapted(), data()
    again = build_model(model.config).double()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(f, GRID), model(f, GRID))
    assert {"functions.values", "scale"} <= set(model.state_dict())
    assert not {name for name, _ in model.named_parameters()} & {"functions.values", "scale", "bias"}


def test_inside_a_normalised_model_a_linear_branch_can_be_a_linear_operator():
    """With the branch that least squares find, the answers are the outputs: what is scaled fits together."""
    f, u = data(40)
    model = PODDeepONet(1, 1, (24,), 3, (), sensor_nodes="vertex")
    whole = Normalised(model, *ArrayDataset(f, u, GRID).statistics()).double()
    whole.adapt(f, u, GRID)
    basis = pod(u / whole.target_scale, GRID, 3)
    coefficients = basis.project(u / whole.target_scale) / basis.singular_values
    scaled = torch.cat([((f - whole.input_shift) / whole.input_scale).flatten(1), torch.ones(40, 1)], 1)
    solution = torch.linalg.lstsq(scaled, coefficients, driver="gelsd").solution
    model.branch.get_parameter("0.weight").data = solution[:-1].T
    model.branch.get_parameter("0.bias").data = solution[-1]
    assert torch.allclose(whole(f, GRID), u, atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "PODDeepONet: rank: expected at least 1, found 0"),
        ({"branch": (8, -1)}, r"PODDeepONet: branch: expected positive widths, found \(8, -1\)"),
        ({"grid": Grid((4, 4)).describe()}, "PODDeepONet: grid: expected 1 axes, the sensors', found 2"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PODDeepONet(**{"in_channels": 1, "out_channels": 1, "sensors": (5,), **arguments})


def test_data_that_do_not_fit_are_refused():
    model, (f, u) = PODDeepONet(1, 1, (24,), 4), data()
    with pytest.raises(ValueError, match="PODDeepONet: expected to have seen training data: call adapt"):
        model(f.float(), GRID)
    with pytest.raises(ValueError, match="targets: expected 1 channels, found 2"):
        model.adapt(f, torch.cat([u, u], 1), GRID)
    with pytest.raises(ValueError, match="rank: expected 1 to 3, what the 12 functions span, found 4"):
        model.adapt(f, u, GRID)
    with pytest.raises(ValueError, match="grid: expected 1 axes"):
        model.adapt(f[..., None], u[..., None], Grid((24, 1), nodes="cell"))
