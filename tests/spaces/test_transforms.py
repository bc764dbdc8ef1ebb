from math import pi

import pytest
import torch

from opnet.spaces import transforms
from opnet.spaces.axis_maps import MatrixMap, WaveMap
from opnet.spaces.grid import Grid
from opnet.spaces.transforms import SpectralTransform, max_modes, mode_shape


def grids(basis):
    if basis == "fourier":
        return [
            Grid((9, 10, 12)[:dim], boundary="periodic", nodes=nodes) for dim in (1, 2, 3) for nodes in ("cell", "left")
        ]
    placements = ("cell", "vertex") if basis == "cosine" else ("cell", "vertex", "left", "interior")
    return [Grid((7, 6), extent=((-1, 1), (0, 3)), nodes=nodes) for nodes in placements]


@pytest.mark.parametrize("basis", ["fourier", "cosine", "sine"])
def test_the_truncated_sum_is_analysed_exactly(basis):
    generator = torch.Generator().manual_seed(0)
    for grid in grids(basis):
        modes = tuple(max_modes(grid, axis, basis) for axis in range(grid.dim))
        transform = SpectralTransform(grid, modes, basis)
        coefficients = torch.randn(transform.n_modes, transform.parts, 2, 3, generator=generator, dtype=torch.float64)
        values = transform.inverse(coefficients)
        assert values.shape == (*grid.shape, 2, 3)
        assert torch.allclose(transform.inverse(transform.forward(values)), values)
        if basis != "fourier":  # whose coefficients with k = 0 on the first axis are conjugates of each other
            assert torch.allclose(transform.forward(values), coefficients)


@pytest.mark.parametrize("basis", ["fourier", "cosine", "sine"])
def test_the_adjoint_transposes_both_ways(basis):
    generator = torch.Generator().manual_seed(0)
    for grid in grids(basis):
        transform = SpectralTransform(grid, (3,) * grid.dim, basis)
        coefficients = torch.randn(transform.n_modes, transform.parts, 2, generator=generator, dtype=torch.float64)
        values = torch.randn(*grid.shape, 2, generator=generator, dtype=torch.float64)
        adjoint = transform.adjoint
        for a, b in (
            ((transform.inverse(coefficients) * values), (coefficients * adjoint.forward(values))),
            ((transform.forward(values) * coefficients), (values * adjoint.inverse(coefficients))),
        ):
            torch.testing.assert_close(a.sum(), b.sum(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("boundary", ["periodic", "dirichlet"])
@pytest.mark.parametrize(
    ("shape", "nodes"), [((9,), "cell"), ((8,), "left"), ((8, 9), ("cell", "left")), ((4, 5, 6), "cell")]
)
def test_the_fast_transform_is_the_product(shape, nodes, boundary, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    grid = Grid(shape, nodes=nodes, boundary=boundary, extent=((-1, 1),) * len(shape))
    modes = tuple(max_modes(grid, axis, "fourier") for axis in range(grid.dim))
    product = SpectralTransform(grid, modes)
    monkeypatch.setattr(transforms, "FAST_FROM", 1)
    fast = SpectralTransform(grid, modes)
    assert isinstance(fast._analysis[-1], WaveMap)
    assert isinstance(product._analysis[-1], MatrixMap)
    values, other = torch.randn(2, *shape, 3, generator=generator, dtype=torch.float64)
    for a, b in ((fast, product), (fast.adjoint, product.adjoint)):
        coefficients = b.forward(values)
        torch.testing.assert_close(a.forward(values), coefficients, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(a.inverse(coefficients), b.inverse(coefficients), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(a.inverse(coefficients, other), other + b.inverse(coefficients))


def test_padding_ends_and_few_modes_take_products():
    cells, vertices = Grid((256,), nodes="cell"), Grid((256,), nodes="vertex")
    for grid, modes, padding in ((cells, 96, 0.5), (vertices, 96, 0.0), (cells, 95, 0.0)):
        assert isinstance(SpectralTransform(grid, (modes,), padding=padding)._analysis[0], MatrixMap)
    assert isinstance(SpectralTransform(cells, (96,))._analysis[0], WaveMap)


def test_values_are_added_to_what_there_is():
    transform = SpectralTransform(Grid((6, 5)), (2, 2))
    coefficients, before = torch.randn(transform.n_modes, 2, 3).double(), torch.randn(6, 5, 3).double()
    expected, kept = before + transform.inverse(coefficients), before.clone()
    torch.testing.assert_close(transform.inverse(coefficients, before), expected)
    assert torch.equal(before, kept)
    transform.inverse(coefficients, before, in_place=True)
    torch.testing.assert_close(before, expected)


def test_fourier_coefficients_are_those_of_the_fft():
    grid = Grid((8, 9), boundary="periodic")
    values = torch.randn(8, 9, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    coefficients = SpectralTransform(grid, (4, 5), "fourier").forward(values)
    expected = torch.fft.fft2(values[..., 0]) / values.numel()
    for k1 in range(4):
        for k2 in range(-4, 5):
            found = coefficients[k1 * 9 + k2 + 4, :, 0]
            assert torch.allclose(torch.complex(*found), expected[k1, k2])


@pytest.mark.parametrize(
    ("basis", "nodes", "padding"),
    [("fourier", "vertex", 0.5), ("fourier", "cell", 1.0), ("cosine", "cell", 0.0), ("sine", "left", 0.0)],
)
def test_coefficients_mean_the_same_at_every_resolution(basis, nodes, padding):
    def coefficients(n):
        grid = Grid((n, n), extent=((0, 2), (0, 2)), nodes=nodes)
        x, y = grid.coordinates() / 2
        values = x * (1 - x) * torch.exp(y) * y * (1 - y)
        return SpectralTransform(grid, (5, 5), basis, padding=padding).forward(values[..., None])

    errors = [float((coefficients(n) - coefficients(256)).abs().max()) for n in (16, 32, 64)]
    assert errors[0] / errors[1] > 3.5
    assert errors[1] / errors[2] > 3.5
    assert errors[2] < 1e-4


def test_padding_is_a_fraction_of_the_domain_and_zero_beyond_it():
    # Half a domain of zeros made by hand: the same coefficients as padding=0.5.
    grid, extended = Grid((8,), nodes="cell"), Grid((12,), extent=((0, 1.5),), nodes="cell")
    values = torch.randn(8, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    by_hand = torch.cat([values, torch.zeros(4, 1, dtype=torch.float64)])
    padded = SpectralTransform(grid, (4,), "fourier", padding=0.5).forward(values)
    assert torch.allclose(padded, SpectralTransform(extended, (4,), "fourier").forward(by_hand))


def test_inverse_adds_to_what_it_is_given():
    transform = SpectralTransform(Grid((6, 5), nodes="cell"), (2, 2), "cosine")
    coefficients, values = torch.randn(4, 1, 3, dtype=torch.float64), torch.randn(6, 5, 3, dtype=torch.float64)
    assert torch.allclose(transform.inverse(coefficients, values), transform.inverse(coefficients) + values)


@pytest.mark.parametrize(
    ("grid", "modes", "basis", "padding", "message"),
    [
        (Grid((16,), nodes="cell"), (9,), "fourier", 0.0, "expected 1 to 8 on axis 0, the most that 16 cell nodes"),
        (Grid((16, 4), nodes="cell"), (4, 5), "cosine", 0.0, "expected 1 to 4 on axis 1, .* found 5"),
        (Grid((9,)), (8,), "sine", 0.0, "expected 1 to 7 on axis 0"),
        (Grid((16,)), (0,), "fourier", 0.0, "expected 1 to 8 .* found 0"),
        (Grid((16,)), (2, 2), "fourier", 0.0, "modes: expected 1, one for each axis"),
        (Grid((16,)), (2,), "wavelet", 0.0, "basis: expected one of fourier, cosine, sine, found 'wavelet'"),
        (Grid((16,)), (2,), "fourier", -0.5, "padding: expected 0, or"),
        (Grid((16,)), (2,), "fourier", float("nan"), "padding: expected 0, or"),
        (Grid((16,)), (2,), "cosine", 0.5, "padding: expected 0, or"),
        (Grid((16,), nodes="left"), (2,), "cosine", 0.0, "needs cell or vertex nodes, found 'left'"),
        (Grid((16,), boundary="periodic"), (2,), "cosine", 0.0, "expected 'fourier', since axis 0 is periodic"),
    ],
)
def test_wrong_arguments_are_named(grid, modes, basis, padding, message):
    with pytest.raises(ValueError, match=message):
        SpectralTransform(grid, modes, basis, padding=padding)


def test_the_largest_mode_is_the_nyquist_frequency_or_the_last_below():
    assert [max_modes(Grid((n,), nodes="cell"), 0, "fourier") for n in (15, 16)] == [8, 8]
    assert max_modes(Grid((16,), nodes="cell"), 0, "fourier", padding=0.25) == 10
    assert mode_shape((3, 4, 5), "fourier") == (3, 7, 9)


def test_matrices_made_under_inference_mode_can_train():
    with torch.inference_mode():
        transform = SpectralTransform(Grid((8,), nodes="cell"), (3,), "fourier")
    values = torch.randn(8, 1, dtype=torch.float64, requires_grad=True)
    transform.inverse(transform.forward(values)).square().sum().backward()
    assert float(values.grad.abs().sum()) > 0


def test_a_wave_beyond_the_kept_modes_leaves_nothing():
    grid = Grid((32,), boundary="periodic")
    wave = torch.cos(2 * pi * 6 * grid.axis(0))[:, None]
    transform = SpectralTransform(grid, (6,), "fourier")
    assert float(transform.forward(wave).abs().max()) < 1e-14
