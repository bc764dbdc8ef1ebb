import pytest
import torch

from opnet.spaces.fields.bumps import Bumps
from opnet.spaces.grid import Grid


def test_one_bump_is_a_gaussian_and_periodic():
    field, grid = Bumps(1, 1, width=0.1), Grid((400,), ((-1.0, 1.0),), "periodic")
    g = field.sample(0, [3], grid)[0]
    centre = int(g.argmax())
    distance = torch.arange(-30, 31) * grid.spacing[0]
    around = g.roll(200 - centre)[170:231]
    assert float(g.max()) == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(around, torch.exp(-(distance.double() ** 2) / 0.02), rtol=0.1, atol=0.05)
    assert float(torch.fft.rfft(g, norm="forward").abs()[100:].max()) < 1e-14


def test_numbers_of_bumps():
    wide = Grid((200,), ((0.0, 100.0),), "periodic")
    few, many = (Bumps(n, n, width=0.8).sample(0, range(20), wide).mean() for n in (1, 9))
    assert 6 < float(many / few) < 9


@pytest.mark.parametrize("wrong", [{"least": 0}, {"least": 5, "most": 4}, {"width": 0.0}])
def test_arguments_are_checked(wrong):
    with pytest.raises(ValueError, match="Bumps"):
        Bumps(**wrong)
