import pytest
import torch

from opnet.spaces.fields.pdebench_waves import PDEBenchWaves
from opnet.spaces.grid import Grid

GRID = Grid((256,), boundary="periodic", nodes="cell")


def test_wave_numbers_refer_to_the_first_and_last_node():
    """Then node 255 has the value of node 0: the 256th would have it in a periodic function."""
    g = PDEBenchWaves(absolute=0.0, window=0.0).sample(0, range(50), GRID)
    torch.testing.assert_close(g[:, -1], g[:, 0], rtol=0, atol=1e-12)
    power = torch.fft.rfft(g[:, :-1], norm="forward").abs()
    assert float(power[:, 9:].max()) < 1e-14
    present = power[:, 1:9] > 1e-12
    doubled = present.sum(1) == 1
    assert bool((present[:, [4, 6]] == 0).all())  # 5 and 7 are no doubles
    assert bool((present[doubled][:, [0, 2]] == 0).all())  # one alone is a double: 2, 4, 6 or 8
    assert 0.1 < float(doubled.double().mean()) < 0.45
    assert float((power[:, 0] > 1e-3).double().mean()) > 0.9  # the slots left over


def test_absolute_values_signs_and_windows():
    whole = PDEBenchWaves(absolute=1.0, window=0.0).sample(0, range(200), GRID)
    signs = whole.sum(1).sign()
    assert bool((whole * signs[:, None] >= 0).all())
    assert 60 < int((signs > 0).sum()) < 140
    cut = PDEBenchWaves(absolute=0.0, window=1.0).sample(0, range(200), GRID)
    assert float(cut[:, GRID.axis(0) < 0.05].abs().max()) < 1e-3
    plain = PDEBenchWaves(absolute=0.0, window=0.0).sample(0, range(200), GRID)
    middle = (GRID.axis(0) - 0.5).abs() < 0.01
    torch.testing.assert_close(cut[:, middle], plain[:, middle], rtol=1e-2, atol=1e-3)
    shares = (PDEBenchWaves().sample(0, range(200), GRID)[:, 0].abs() < 1e-3).double().mean()
    assert 0.03 < float(shares) < 0.2


@pytest.mark.parametrize("wrong", [{"absolute": -0.1}, {"window": 1.5}])
def test_arguments_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PDEBenchWaves(**wrong)
    with pytest.raises(ValueError, match="one axis"):
        PDEBenchWaves().sample(0, [0], Grid((4, 4)))
