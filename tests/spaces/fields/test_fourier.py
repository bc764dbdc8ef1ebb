import pytest
import torch

from opnet.spaces.fields.fourier import FourierField
from opnet.spaces.grid import Grid


def test_amplitudes_decay_as_stated_and_end():
    grid = Grid((32, 32), ((0.0, 3.0),) * 2, "periodic")
    g = FourierField(3, decay=2.0, sigma=1.5).sample(0, range(3000), grid)
    assert float(g.square().mean()) == pytest.approx(1.5**2, rel=0.03)
    power = torch.fft.fft2(g, norm="forward").abs().square().mean(0)
    assert float(power[1, 0] / power[2, 0]) == pytest.approx(2**4, rel=0.15)
    assert float(power[1, 1] / power[1, 0]) == pytest.approx(1 / 4, rel=0.15)
    assert float(power[3, 1]) < 1e-28  # outside the disk
    assert float(power[0, 0]) < 1e-28


@pytest.mark.parametrize("wrong", [{"max_mode": 0}, {"decay": -1.0}, {"sigma": 0.0}, {"boundary": "robin"}])
def test_arguments_are_checked(wrong):
    with pytest.raises(ValueError, match=f"FourierField.{next(iter(wrong))}"):
        FourierField(**{"max_mode": 4, **wrong})


def test_a_disk_without_functions_is_refused():
    with pytest.raises(ValueError, match="max_mode"):
        FourierField(1, boundary="dirichlet").sample(0, [0], Grid((8, 8)))
