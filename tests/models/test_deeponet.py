from math import pi

import pytest
import torch

from opnet.models.deeponet import DeepONet
from opnet.spaces.grid import Grid


def double(*arguments, **options):
    torch.manual_seed(0)
    return DeepONet(*arguments, **options).double()


def wave(grid, n=3):
    return torch.stack([torch.sin((i + 1) * grid.coordinates().sum(0)) for i in range(n)])[:, None]


@pytest.mark.parametrize("outputs", ["split_both", "split_branch", "split_trunk", "independent"])
@pytest.mark.parametrize("stacked", [False, True])
def test_the_answer_is_the_sum_of_products(outputs, stacked):
    """Point by point, channel by channel."""
    model = double(2, 3, (5,), (6, 4), (7, 4), outputs=outputs, stacked=stacked)
    torch.nn.init.normal_(model.bias)
    a, x = torch.randn(2, 2, 5, dtype=torch.float64), torch.rand(6, 1, dtype=torch.float64)
    u = model(a, points=x)
    own = outputs == "independent"
    for k in range(3):
        b, t = model.branch[k if own else 0](a.flatten(1)), model.trunk[k if own else 0](x)
        b = b[:, 4 * k : 4 * k + 4] if outputs in ("split_both", "split_branch") else b
        t = t[:, 4 * k : 4 * k + 4] if outputs in ("split_both", "split_trunk") else t
        assert torch.allclose(u[:, k], (b[:, None] * t).sum(-1) + model.bias[k])


def test_stacked_branches_are_separate_networks():
    model = double(1, 1, (5,), (6, 4), (7, 4), stacked=True, activation="tanh")
    a = torch.randn(2, 5, dtype=torch.float64)
    (w, v), (c, d) = model.branch[0].weights, model.branch[0].biases
    for i in range(4):
        alone = torch.tanh(a @ w[i] + c[i]) @ v[i] + d[i]
        assert torch.allclose(model.branch[0](a)[:, i], alone[:, 0])


@pytest.mark.parametrize("options", [{}, {"outputs": "split_trunk", "zero_boundary": True, "fourier_features": 3}])
@pytest.mark.parametrize("nodes", ["cell", "left"])
def test_points_shared_and_of_each_sample_answer_as_the_nodes(options, nodes):
    grid = Grid((6, 5), extent=((-1, 1), (3, 5)), nodes=nodes)
    model = double(1, 2, (4, 4), (8, 4), (8, 4), **options)
    at_nodes = model(wave(grid), grid).flatten(2)
    points = grid.coordinates().flatten(1).T
    assert torch.allclose(model(wave(grid), grid, points), at_nodes)
    order = [torch.randperm(30) for _ in range(3)]
    unaligned = model(wave(grid), grid, torch.stack([points[p] for p in order]))
    assert unaligned.shape == (3, 2, 30)
    for u, p, expected in zip(unaligned, order, at_nodes, strict=True):
        assert torch.allclose(u, expected[:, p])


def test_inputs_on_other_grids_reach_the_sensors_by_interpolation():
    """Exactly from a grid that holds the sensors, to second order from any other."""
    model = double(1, 1, (9,), (8, 4), (8, 4), sensor_nodes="vertex")
    x = torch.rand(5, 1, dtype=torch.float64)

    def answer(grid):
        return model(wave(grid), grid, x)

    exact = answer(Grid((9,)))
    assert torch.allclose(answer(Grid((17,))), exact, rtol=1e-13)
    errors = [float((answer(Grid((n,), nodes="cell")) - exact).detach().norm()) for n in (20, 80)]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.4)


@pytest.mark.parametrize("nodes", ["vertex", "left"])
def test_zero_boundary_vanishes_there_and_nowhere_else(nodes):
    grid = Grid((9, 9), nodes=nodes)
    u = double(1, 1, (4, 4), (8, 4), (8, 4), zero_boundary=True)(wave(grid), grid)
    boundary = (grid.coordinates() * (1 - grid.coordinates())).prod(0) == 0
    assert not u[0, 0][boundary].any()
    assert (u[0, 0][~boundary] != 0).all()


@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_derivatives_in_the_points_are_those_of_finite_differences(activation):
    """Also in single precision, where layers are fused."""
    torch.manual_seed(0)
    model = DeepONet(1, 1, (5,), (8, 8), (8, 8), activation=activation)
    for dtype, h, tolerance in ((torch.float64, 1e-4, 1e-5), (torch.float32, 2e-2, 2e-2)):
        model, grid = model.to(dtype), Grid((5,), extent=((0, 2),))
        a, x = wave(grid).to(dtype), torch.linspace(0.5, 1.5, 4, dtype=dtype)[:, None].requires_grad_()
        u = model(a, grid, x)
        slope = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
        second = torch.autograd.grad(slope.sum(), x, create_graph=True)[0]
        with torch.no_grad():
            low, mid, high = (model(a, grid, x + d).sum((0, 1))[:, None] for d in (-h, 0, h))
        assert torch.allclose(slope, (high - low) / (2 * h), atol=tolerance)
        assert torch.allclose(second, (high - 2 * mid + low) / h**2, atol=10 * tolerance)
        second.square().sum().backward()
        assert all(p.grad is not None for p in model.trunk.parameters())


def test_training_on_the_residual_alone_solves_poissons_equation():
    """-u'' = f, u = 0 at both ends, for f = c_1 sin(pi x) + c_2 sin(2 pi x): no solution is shown."""
    torch.manual_seed(0)
    grid, generator = Grid((12,), nodes="cell"), torch.Generator().manual_seed(0)
    model = DeepONet(1, 1, (12,), (24,), (24, 24), activation="gelu", zero_boundary=True)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2, betas=(0.9, 0.99))
    k = pi * torch.arange(1.0, 3.0)
    c, x = torch.randn(16, 2, generator=generator), torch.rand(24, 1, generator=generator)

    def source(c, x):
        return (c @ torch.sin(k[:, None] * x.flatten()))[:, None]

    def residual():
        """At points of each sample's own, so that the derivative of the sum of u is that of each u."""
        points = x.expand(len(c), *x.shape).clone().requires_grad_()
        u = model(source(c, grid.axis(0).float()), grid, points)
        (slope,) = torch.autograd.grad(u.sum(), points, create_graph=True)
        (second,) = torch.autograd.grad(slope.sum(), points, create_graph=True)
        return second[..., 0] + source(c, x)[:, 0]

    history = []
    for _ in range(100):
        loss = residual().square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.02 * history[0]
    with torch.no_grad():
        nodes = grid.axis(0).float()
        u, exact = model(source(c, nodes), grid), source(c / k**2, nodes)
    assert float((u - exact).norm() / exact.norm()) < 0.15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 0}, "DeepONet: in_channels: expected at least 1, found 0"),
        ({"sensors": ()}, "DeepONet: sensors, sensor_nodes: .* at least one axis"),
        (
            {"sensors": (1,), "sensor_nodes": "vertex"},
            "DeepONet: sensors, sensor_nodes: .* at least 2 nodes on axis 0, found 1",
        ),
        ({"sensor_nodes": "corner"}, "DeepONet: sensors, sensor_nodes: .* expected one of vertex, cell"),
        ({"branch": ()}, r"DeepONet: branch: expected one or more positive widths, found \(\)"),
        ({"trunk": (4, 0)}, "DeepONet: trunk: expected one or more positive widths"),
        ({"trunk": (4, 5)}, "DeepONet: branch, trunk: expected the same last width, found 4 and 5"),
        ({"outputs": "shared"}, "DeepONet: outputs: expected one of split_both, .* found 'shared'"),
        ({"activation": "rely"}, "unknown activation 'rely' .did you mean 'relu'"),
        ({"fourier_features": -1}, "fourier_features: expected at least 0, found -1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        DeepONet(**{"in_channels": 1, "out_channels": 1, "sensors": (5,), "branch": (4,), "trunk": (4,), **arguments})


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.rand(7), r"points: expected \(point, 2\) or \(3, point, 2\), found \(7,\)"),
        (torch.rand(7, 1), r"points: expected \(point, 2\)"),
        (torch.rand(2, 7, 2), r"points: expected .* found \(2, 7, 2\)"),
        (torch.rand(7, 2).double(), "points: expected torch.float32, as the inputs, found torch.float64"),
        (torch.full((7, 2), 1.5), r"points: expected points in the box \(\(0.0, 1.0\), \(0.0, 1.0\)\), found some"),
        (torch.full((7, 2), torch.nan), "points: expected points in the box"),
    ],
)
def test_points_that_do_not_fit_are_refused(points, message):
    with pytest.raises(ValueError, match=message):
        DeepONet(1, 1, (5, 5), (4,), (4,))(torch.zeros(3, 1, 5, 5), points=points)
