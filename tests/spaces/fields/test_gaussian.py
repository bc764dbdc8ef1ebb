import math

import numpy as np
import pytest
import torch

from opnet.spaces.fields.gaussian import GaussianField
from opnet.spaces.fields.series import BOUNDARIES, DenseAxis
from opnet.spaces.grid import Grid


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("dim", [1, 2])
def test_one_function_at_every_resolution(dim, boundary):
    field = GaussianField(3.0, 2.0, boundary=boundary, max_mode=5)
    kind = "periodic" if boundary == "periodic" else "neumann"
    coarse = field.sample(0, [2, 3], Grid((6,) * dim, boundary=kind, nodes="cell"))
    fine = field.sample(0, [2, 3], Grid((18,) * dim, boundary=kind, nodes="cell"))
    for axis in range(1, dim + 1):  # every third midpoint is a coarse one
        fine = fine.index_select(axis, torch.arange(1, 18, 3))
    torch.testing.assert_close(fine, coarse, rtol=0, atol=1e-14)


def test_samples_do_not_depend_on_each_other():
    field, grid = GaussianField(3.0, 2.0, max_mode=4), Grid((8, 8), nodes="cell")
    assert torch.equal(field.sample(1, [4], grid)[0], field.sample(1, [0, 9, 4], grid)[2])
    assert not torch.equal(field.sample(1, [4], grid), field.sample(1, [5], grid))
    assert not torch.equal(field.sample(1, [4], grid), field.sample(1, [4], grid, key=[1]))


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_larger_max_mode_keeps_the_old_coefficients(boundary):
    """Without its higher modes, the richer function is the poorer one: compare their projections."""
    grid = Grid((64, 64), boundary="periodic" if boundary == "periodic" else "neumann", nodes="cell")
    small, large = (GaussianField(2.0, 2.0, boundary=boundary, max_mode=m) for m in (3, 6))
    values = [field.sample(0, [0], grid)[0] for field in (small, large)]
    basis = DenseAxis(boundary, 3, grid, 0, 1.0).basis
    projections = [basis.T @ g @ basis / 64**2 for g in values]
    torch.testing.assert_close(projections[0], projections[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_variance_is_the_sum_over_the_spectrum(boundary):
    """E ||g||^2 = sum sigma^2 (lambda_k + tau^2)^-alpha, on a box that is not the unit one."""
    field = GaussianField(2.0, 1.5, 0.7, boundary=boundary, max_mode=3)
    grid = Grid(
        (24, 30),
        extent=((0, 2), (1, 4)),
        boundary="periodic" if boundary == "periodic" else "neumann",
        nodes="cell",
    )
    g = field.sample(0, range(3000), grid)
    measured = (g.square() * grid.weights()).sum((1, 2))
    start = 1 if boundary == "dirichlet" else 0
    one = [(k * math.pi) ** 2 for k in range(start, 4)]
    if boundary == "periodic":
        one = [(2 * math.pi * ((j + 1) // 2)) ** 2 for j in range(7)]
    terms = [0.49 * (x / 4 + y / 9 + 4) ** -1.5 for x in one for y in one if x + y > 0]
    assert float(measured.mean()) == pytest.approx(sum(terms), abs=4 * float(measured.std()) / 3000**0.5)
    if boundary != "dirichlet":
        assert float(g.mean((1, 2)).abs().max()) < 1e-13


def test_constant_mode_is_kept_on_request():
    grid = Grid((8,), boundary="neumann", nodes="cell")
    g = GaussianField(2.0, 1.0, max_mode=2, zero_mean=False).sample(0, range(2000), grid)
    assert float(g.mean(1).square().mean()) == pytest.approx(0.25, rel=0.15)


def test_boundary_conditions_hold_at_the_boundary():
    ends = Grid((3,), nodes="vertex")
    assert GaussianField(1.0, 2.0, boundary="dirichlet", max_mode=4).sample(0, [0], ends)[0, [0, 2]].abs().max() < 1e-13
    g = GaussianField(1.0, 2.0, max_mode=4).sample(0, [0], Grid((10001,), nodes="vertex"))[0]
    assert abs(float(g[1] - g[0])) < 1e-5 * float(g.abs().max())


@pytest.mark.parametrize(
    "arguments",
    [
        {"tau": -1.0, "alpha": 2.0},
        {"tau": 0.0, "alpha": 2.0, "zero_mean": False},
        {"tau": 1.0, "alpha": 0.0},
        {"tau": 1.0, "alpha": 2.0, "sigma": -1.0},
        {"tau": 1.0, "alpha": 2.0, "max_mode": 0},
        {"tau": 1.0, "alpha": 2.0, "boundary": "robin"},
    ],
)
def test_arguments_are_checked(arguments):
    with pytest.raises(ValueError, match="GaussianField"):
        GaussianField(**arguments)


def test_massless_field_has_no_constant_mode():
    g = GaussianField(0.0, 1.0, max_mode=3).sample(0, [0], Grid((16,), boundary="neumann", nodes="cell"))
    assert bool(torch.isfinite(g).all())
    assert np.isclose(float(g.mean()), 0, atol=1e-13)
