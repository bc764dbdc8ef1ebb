from math import exp

import pytest
import torch
from pde_orders.states import Given

from opnet.solvers.pde.kolmogorov import KolmogorovFlow


@pytest.mark.parametrize("wave", [2, 4])
def test_from_rest_the_shear_wave_grows_to_its_balance(wave):
    """w = -(Re / n) (1 - exp(-n^2 t / Re)) cos n y, which advects nothing."""
    rest = Given(lambda x: torch.zeros_like(x[0]))
    flow = KolmogorovFlow((0.0, 1.0, 2.0), reynolds=20.0, wave=wave, initial=rest, nodes=32, step=0.1)
    samples = flow.sample(0, [0], 16)
    y = samples.grid.axis(1)
    for w, t in zip(samples.targets[0, :, 0], (0.0, 1.0, 2.0), strict=True):
        exact = -20.0 / wave * (1 - exp(-(wave**2) * t / 20.0)) * torch.cos(wave * y)
        torch.testing.assert_close(w, exact.expand(16, 16), rtol=1e-9, atol=1e-9)


def test_wrong_arguments_say_what_was_expected():
    for arguments, match in (
        ({"reynolds": 0.0}, "KolmogorovFlow.reynolds: expected a positive"),
        ({"wave": 0}, "KolmogorovFlow.wave: expected a positive"),
        ({"initial": "fno"}, "KolmogorovFlow.initial: expected .*'pino'.*found 'fno'"),
    ):
        with pytest.raises(ValueError, match=match):
            KolmogorovFlow(**arguments)
