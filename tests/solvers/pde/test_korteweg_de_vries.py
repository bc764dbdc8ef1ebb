import pytest
import torch
from pde_orders.states import Given

from opnet.solvers.pde.korteweg_de_vries import KortewegDeVries


def soliton(c, centre):
    return lambda x: 3 * c / torch.cosh(c**0.5 * (x[0] - centre) / 2) ** 2


@pytest.mark.slow
def test_a_fast_soliton_passes_a_slow_one():
    """Afterwards both have their shapes, shifted by +- ln((a + b) / (a - b)) 2 / (their root) with roots a, b."""
    fast, slow = 1.0, 0.25
    start = Given(lambda x: soliton(fast, 20.0)(x) + soliton(slow, 50.0)(x))
    samples = KortewegDeVries(times=80.0, length=120.0, initial=start).sample(0, [0], 256)
    x, u = samples.grid.coordinates(), samples.targets[0, 0]
    shift = 2 * torch.log(torch.tensor((1 + 0.5) / (1 - 0.5), dtype=torch.float64))
    after = soliton(fast, 100 + shift)(x) + soliton(slow, 70 - shift / 0.5)(x)
    assert float((u - after).norm() / after.norm()) < 2e-3
    assert float(samples.diagnostics["energy_drift"]) < 1e-6
    assert float(samples.diagnostics["mass_drift"]) < 1e-13
