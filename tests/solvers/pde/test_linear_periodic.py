import torch

from opnet.solvers.pde import linear_periodic
from opnet.solvers.pde.advection import Advection
from opnet.solvers.pde.heat import Heat
from opnet.spaces.fields.rbf import RBFField


def test_band_limited_states_are_exact_on_any_grid():
    for n in (3, 10, 700):
        samples = Heat(times=(0.0, 0.1, 0.2)).sample(0, [1], n)
        assert float(samples.discretisation_error) < 1e-13
        assert float(samples.diagnostics["spectrum_tail"]) < 1e-25


def test_what_is_not_periodic_says_how_wrong_it_is():
    samples = Advection(times=0.3, initial=RBFField(0.2)).sample(0, [1], 64)
    assert float(samples.discretisation_error) > 1e-3
    assert float(samples.diagnostics["spectrum_tail"]) > 1e-6


def test_batches_do_not_change_samples(monkeypatch):
    whole = Heat(dim=2).sample(0, range(5), 8, estimate_error=False)
    monkeypatch.setattr(linear_periodic, "VALUES_AT_ONCE", 1)
    torch.testing.assert_close(Heat(dim=2).sample(0, range(5), 8, estimate_error=False).targets, whole.targets)
