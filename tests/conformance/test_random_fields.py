"""Laws of every random field: functions, not arrays, drawn from streams of their own."""

import pytest
import torch

from opnet.core.registry import lookup, names
from opnet.spaces.fields.bumps import Bumps
from opnet.spaces.fields.fourier import FourierField
from opnet.spaces.fields.gaussian import GaussianField
from opnet.spaces.fields.level_set import LevelSet
from opnet.spaces.fields.node_noise import NodeNoise
from opnet.spaces.fields.pdebench_waves import PDEBenchWaves
from opnet.spaces.fields.rbf import RBFField
from opnet.spaces.fields.sine_waves import SineWaves
from opnet.spaces.fields.unit_range import UnitRange
from opnet.spaces.grid import Grid

PERIODIC = GaussianField(3.0, 2.0, boundary="periodic", max_mode=5)
BOX = ((-1.0, 2.0), (0.5, 1.5))

# name: field, axes it is tried on, and its mean and variance at a point where both are known
FIELDS = {
    "gaussian": (PERIODIC, (1, 2), None),
    "gaussian neumann": (GaussianField(2.0, 1.5, boundary="neumann", max_mode=4, zero_mean=False), (1, 2), None),
    "rbf": (RBFField(0.3, sigma=2.0), (1, 2), (0.0, 4.0)),
    "rbf periodic": (RBFField(0.3, periodic=True), (1, 2), (0.0, 1.0)),
    "fourier": (FourierField(4, decay=1.0, sigma=0.5), (1, 2), (0.0, 0.25)),
    "level set": (LevelSet(PERIODIC, (3.0, 12.0)), (1, 2), (7.5, 20.25)),
    "sine waves": (SineWaves(), (1,), (0.0, 1 / 3)),
    "unit range": (UnitRange(PERIODIC, nodes=64), (1, 2), None),
    "bumps": (Bumps(width=0.3), (1, 2), None),
    "as published, waves": (PDEBenchWaves(), (1,), (0.0, 0.62)),
    "as published, range": (UnitRange(SineWaves(), nodes=None), (1,), None),
    "as published, noise": (NodeNoise(2.0), (1, 2), (0.0, 4.0)),
}


def cases(functions=False):
    return [
        pytest.param(field, dim, id=f"{name} {dim}-D")
        for name, (field, dims, _) in FIELDS.items()
        if not (functions and field.depends_on_grid)
        for dim in dims
    ]


def grid(n, dim, nodes="cell", boundary="neumann"):
    return Grid((n,) * dim, BOX[:dim], boundary, nodes)


def test_every_registered_field_is_tested():
    assert {lookup("field", name) for name in names("field")} == {type(field) for field, _, _ in FIELDS.values()}


@pytest.mark.parametrize(("field", "dim"), cases(functions=True))
@pytest.mark.parametrize(
    ("nodes", "fine", "common"),
    [
        ("cell", 27, slice(1, None, 3)),
        ("vertex", 17, slice(None, None, 2)),
        ("left", 18, slice(None, None, 2)),
        ("interior", 19, slice(1, None, 2)),
    ],
)
def test_one_function_at_every_resolution(field, dim, nodes, fine, common):
    coarse = field.sample(0, [2, 3], grid(9, dim, nodes))
    assert coarse.shape == (2,) + (9,) * dim
    assert coarse.dtype == torch.float64
    values = field.sample(0, [2, 3], grid(fine, dim, nodes))[(slice(None), *(common,) * dim)]
    torch.testing.assert_close(values, coarse, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("field", "dim"), [c for c in cases() if c.values[0].depends_on_grid])
def test_what_depends_on_the_grid_says_so(field, dim):
    coarse, fine = field.sample(0, [2], grid(9, dim)), field.sample(0, [2], grid(27, dim))
    assert not torch.allclose(fine[(slice(None), *(slice(1, None, 3),) * dim)], coarse, atol=1e-6)


@pytest.mark.parametrize(("field", "dim"), cases())
def test_samples_do_not_depend_on_their_company(field, dim):
    g = grid(24, dim)
    alone = field.sample(1, [4], g)
    assert torch.equal(alone[0], field.sample(1, [0, 9, 4], g)[2])
    assert torch.equal(alone, field.sample(1, [4], g))
    assert field.sample(1, [], g).shape == (0, *g.shape)
    for other in (field.sample(1, [5], g), field.sample(2, [4], g), field.sample(1, [4], g, key=[1])):
        assert not torch.equal(alone, other)


@pytest.mark.parametrize("name", [name for name, (_, _, moments) in FIELDS.items() if moments])
def test_moments(name):
    field, dims, (mean, variance) = FIELDS[name]
    count = 4000
    g = field.sample(0, range(count), grid(3, dims[-1]))
    assert float(g.mean()) == pytest.approx(mean, abs=4 * (variance / count) ** 0.5)
    assert float((g - mean).square().mean()) == pytest.approx(variance, rel=0.1)
