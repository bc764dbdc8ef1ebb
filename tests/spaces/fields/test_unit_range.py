import pytest

from opnet.spaces.fields.fourier import FourierField
from opnet.spaces.fields.sine_waves import SineWaves
from opnet.spaces.fields.unit_range import UnitRange
from opnet.spaces.grid import Grid


def test_functions_lie_in_the_range_and_reach_its_ends():
    u = UnitRange(SineWaves(), nodes=256).sample(0, range(50), Grid((10_000,), boundary="periodic"))
    assert float(u.min()) >= 0
    assert float(u.max()) <= 1
    assert float(u.amin(1).max()) < 2e-3
    assert float(u.amax(1).min()) > 1 - 2e-3
    v = UnitRange(FourierField(4), nodes=64).sample(0, range(5), Grid((300, 300), boundary="periodic"))
    assert float(v.amin()) >= 0
    assert float(v.amax()) <= 1


def test_as_published_the_extremes_are_those_of_the_nodes():
    u = UnitRange(SineWaves(), nodes=None).sample(0, range(5), Grid((37,), boundary="periodic"))
    assert u.amin(1).tolist() == [0.0] * 5
    assert u.amax(1).tolist() == [1.0] * 5


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="nodes"):
        UnitRange(SineWaves(), nodes=2)
