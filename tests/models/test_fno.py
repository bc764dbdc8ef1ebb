import subprocess
import sys
from math import pi

import pytest
import torch

from opnet.models.fno import FNO
from opnet.spaces.grid import Grid


def double(*arguments, **options):
    torch.manual_seed(0)
    return FNO(*arguments, **options).double()


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("basis", ["fourier", "cosine"])
def test_one_to_three_dimensions(dim, basis):
    model = FNO(2, 3, modes=(3,) * dim, width=4, layers=2, basis=basis)
    shape = (8, 9, 10)[:dim]
    assert model(torch.randn(2, 2, *shape)).shape == (2, 3, *shape)


def test_a_layer_is_the_published_one():
    """Against the FFT form on a periodic grid: sum over |k| < m of (R_k v_k) exp(2 pi i k x), by half of the modes."""
    model = double(1, 1, modes=(3, 4), width=2, layers=1)
    grid = Grid((10, 11), boundary="periodic")
    inputs = torch.randn(2, 1, 10, 11, dtype=torch.float64)
    x = grid.coordinates().expand(2, 2, 10, 11)
    v = model.lifting(torch.cat([inputs, x], 1).movedim(1, -1))
    spectrum = torch.fft.fft2(v, dim=(1, 2))
    weight = torch.view_as_complex(model.spectral[0].weight.detach()).reshape(3, 7, 2, 2)
    mixed = torch.zeros_like(spectrum)
    for k1 in range(3):
        for k2 in range(-3, 4):
            part = spectrum[:, k1, k2] @ weight[k1, k2 + 3] * (1 if k1 == 0 else 2)
            mixed[:, k1, k2] = part
    hidden = torch.fft.ifft2(mixed, dim=(1, 2)).real + model.pointwise[0](v)
    assert torch.allclose(model(inputs, grid)[:, 0], model.projection(hidden)[..., 0])


def test_periodic_fourier_layers_are_exact_for_band_limited_fields():
    """On a periodic box one resolution agrees with another to rounding where nothing aliases: linear layers."""
    model = double(1, 1, modes=(4,), width=3, layers=1)
    convolution = model.spectral[0]

    def answer(n):
        grid = Grid((n,), boundary="periodic")
        wave = torch.cos(2 * pi * 2 * grid.axis(0)) + torch.sin(2 * pi * 3 * grid.axis(0))
        field = wave[:, None, None].expand(n, 1, 3).contiguous()
        return convolution(field, model._transform(grid, field), torch.zeros_like(field))

    assert torch.allclose(answer(9), answer(36)[::4])


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_symmetric_models_commute_with_reflections_and_swaps(dim):
    model = double(1, 1, modes=(3,) * dim, width=4, layers=2, basis="cosine", symmetric=True)
    inputs = torch.randn(1, 1, *(6,) * dim, dtype=torch.float64)
    for nodes in ("cell", "vertex", "interior"):
        grid = Grid((6,) * dim, nodes=nodes)
        outputs = model(inputs, grid)
        for axis in range(2, 2 + dim):
            assert torch.allclose(model(inputs.flip(axis), grid), outputs.flip(axis))
            assert torch.allclose(model(inputs.transpose(2, axis), grid), outputs.transpose(2, axis))
    free = double(1, 1, modes=(3,) * dim, width=4, layers=2, basis="cosine")
    assert not torch.allclose(free(inputs.flip(2), grid), free(inputs, grid).flip(2))


def test_symmetric_weights_are_shared_by_swapped_modes():
    assert FNO(1, 1, modes=(4, 4), width=2, basis="cosine", symmetric=True).spectral[0].weight.shape == (10, 2, 2)
    assert FNO(1, 1, modes=(4, 4), width=2).spectral[0].weight.shape == (28, 2, 2, 2)


@pytest.mark.parametrize("nodes", ["vertex", "left", "interior", "cell"])
def test_zero_boundary_vanishes_there(nodes):
    grid = Grid((9, 9), nodes=nodes)
    u = double(1, 1, modes=(4, 4), width=4, zero_boundary=True)(torch.randn(1, 1, 9, 9, dtype=torch.float64), grid)
    boundary = (grid.coordinates() * (1 - grid.coordinates())).prod(0) == 0
    assert not u[0, 0][boundary].any()
    assert u.any()
    assert bool(boundary.any()) == (nodes in ("vertex", "left"))


def test_both_ends_of_left_nodes_are_seen():
    """A reflected function gives nearly what it gives on vertices: the operator is not moved by half a spacing."""
    model = double(1, 1, modes=(4, 4), width=6, layers=2, padding=1.0)

    def answer(n, nodes):
        grid = Grid((n, n), nodes=nodes)
        x, y = grid.coordinates()
        return model(torch.cos(pi * x * y)[None, None], grid)

    left, vertex = answer(32, "left"), answer(33, "vertex")[..., :-1, :-1]
    assert float((left - vertex).detach().norm() / vertex.detach().norm()) < 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": -1}, "width: expected at least 1, found -1"),
        ({"in_channels": 0}, "in_channels: expected at least 1, found 0"),
        ({"layers": 0}, "layers: expected at least 1"),
        ({"projection_width": 0}, "projection_width: expected at least 1"),
        ({"modes": ()}, "modes: expected one to three positive numbers"),
        ({"modes": (4, 0)}, "modes: expected one to three positive numbers"),
        ({"modes": (2, 2, 2, 2)}, "modes: expected one to three positive numbers"),
        ({"basis": "wavelet"}, "basis: expected one of fourier, cosine, sine"),
        ({"padding": -0.1}, "padding: expected 0, or"),
        ({"padding": 0.1, "basis": "cosine"}, "padding: expected 0, or"),
        ({"symmetric": True}, "symmetric: expected the cosine or sine basis"),
        ({"symmetric": True, "basis": "cosine", "modes": (4, 5)}, "symmetric: expected"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        FNO(**{"in_channels": 1, "out_channels": 1, "modes": (4, 4), "width": 4, **arguments})


def test_modes_beyond_the_grid_name_what_is_allowed():
    model = FNO(1, 1, modes=(8, 8), width=4)
    with pytest.raises(ValueError, match=r"modes: expected 1 to 2 on axis 0, the most that 4 cell nodes .* found 8"):
        model(torch.zeros(1, 1, 4, 4))


def test_the_dtype_of_the_weights_is_expected():
    with pytest.raises(ValueError, match=r"inputs: expected torch.float32, the model's dtype, found torch.int64"):
        FNO(1, 1, modes=(2, 2), width=4)(torch.zeros(1, 1, 8, 8, dtype=torch.int64))


def test_weights_are_real_and_the_matrices_are_not_weights():
    model = FNO(1, 1, modes=(4, 4), width=4)
    before = set(model.state_dict())
    model(torch.zeros(1, 1, 16, 16))
    assert set(model.state_dict()) == before
    assert not any(p.is_complex() for p in model.parameters())


@pytest.mark.parametrize(
    "options", [{}, {"basis": "cosine"}, {"basis": "sine", "symmetric": True}, {"padding": 0.5}], ids=str
)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_more_modes_are_the_same_function_until_trained_and_fewer_drop_the_others(dim, options):
    model = double(1, 2, modes=(3,) * dim, width=4, layers=2, **options)
    inputs = torch.randn(2, 1, *(10,) * dim, dtype=torch.float64)
    wide = model.with_modes((4,) * dim)
    assert wide.config == {**model.config, "modes": [4] * dim}
    torch.testing.assert_close(wide(inputs), model(inputs))
    assert all(
        torch.equal(a, b) for a, b in zip(wide.with_modes((3,) * dim).parameters(), model.parameters(), strict=True)
    )
    with torch.no_grad():
        for layer in wide.spectral:
            layer.weight.normal_()
    assert not torch.allclose(wide(inputs), model(inputs))
    narrow, fewer = wide.with_modes((3,) * dim), wide.with_modes((2,) * dim)
    torch.testing.assert_close(narrow.with_modes((2,) * dim)(inputs), fewer(inputs))
    wide(inputs).sum().backward()
    assert all(p.grad is None for p in model.parameters())


def test_other_modes_keep_dtype_and_mode_of_training_and_refuse_other_axes():
    model = double(1, 1, modes=(3, 3), width=4).eval()
    wide = model.with_modes((3, 5))
    assert wide.lifting.weight.dtype == torch.float64
    assert not wide.training
    with pytest.raises(ValueError, match=r"modes: expected 2, one for each axis, found \(3,\)"):
        model.with_modes((3,))


def test_half_precision_weights_are_refused():
    with pytest.raises(
        ValueError, match=r"weights: expected float32 or float64 \(autocast for less\), found torch.bfloat16"
    ):
        FNO(1, 1, modes=(2, 2), width=4).bfloat16()(torch.zeros(1, 1, 8, 8, dtype=torch.bfloat16))


# Without the hook of the tests that checks types at run time, which no compiler sees through.
COMPILED = """
import copy, torch
from opnet.models.fno import FNO

torch.manual_seed(0)
inputs = torch.randn(2, 1, 8, 8)
for basis in ("fourier", "cosine"):
    model = FNO(1, 1, modes=(3, 3), width=4, layers=2, basis=basis)
    eager = copy.deepcopy(model)
    expected = eager(inputs)
    exported = torch.export.export(copy.deepcopy(model), (inputs,)).module()
    torch.testing.assert_close(exported(inputs), expected)
    outputs = torch.compile(model, fullgraph=True, backend="aot_eager")(inputs)
    torch.testing.assert_close(outputs, expected)
    outputs.square().sum().backward()
    expected.square().sum().backward()
    for p, q in zip(model.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-5)
print("compiled and exported")
"""


@pytest.mark.slow
def test_compiled_in_one_graph_and_exported():
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True)
    assert done.stdout.strip() == "compiled and exported", done.stderr
