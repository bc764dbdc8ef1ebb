import pytest
import torch

from opnet.spaces.fields.sine_waves import SineWaves
from opnet.spaces.grid import Grid


def test_two_waves_of_modes_one_to_four():
    grid = Grid((32,), ((1.0, 3.0),), "periodic")
    g = SineWaves().sample(0, range(400), grid)
    power = torch.fft.rfft(g, norm="forward").abs() * 2
    assert float(power[:, 0].max()) < 1e-14
    assert float(power[:, 5:].max()) < 1e-14
    present = power[:, 1:5] > 1e-12
    assert set(present.sum(1).tolist()) <= {1, 2}
    assert present.sum(0).tolist() == pytest.approx([400 * 7 / 16] * 4, rel=0.2)
    assert float(power.max()) < 2
    weaker = SineWaves(amplitude=0.25).sample(0, range(400), grid)
    torch.testing.assert_close(4 * weaker, g)


@pytest.mark.parametrize("wrong", [{"max_mode": 0}, {"waves": -1}, {"amplitude": 0.0}])
def test_arguments_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SineWaves(**wrong)
    with pytest.raises(ValueError, match="one axis"):
        SineWaves().sample(0, [0], Grid((4, 4)))
