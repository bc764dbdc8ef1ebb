import pytest
import torch

from opnet.core.errors import SolveError
from opnet.solvers.pde.compressible_1d import Compressible1D


def test_states_and_what_they_conserve():
    samples = Compressible1D(times=(0.0, 0.1)).sample(0, [0, 1, 2], 32)
    density, _, pressure = samples.inputs.unbind(1)
    assert 1 <= float(density.min()) < float(density.max()) <= 20
    assert 10 <= float(pressure.min()) < float(pressure.max()) <= 200
    for name in ("mass_defect", "energy_defect"):
        assert float(samples.diagnostics[name].max()) < 1e-13
    assert bool((samples.diagnostics["minimum_pressure"] <= samples.targets[:, :, 2].flatten(1).amin(1)).all())


def test_viscosity_smooths():
    thick, thin = (Compressible1D(times=0.2, eta=e, zeta=e).sample(0, [1], 64).targets[0, 1] for e in (1.0, 0.0))
    assert float(thick.diff().abs().sum()) < 0.8 * float(thin.diff().abs().sum())


def test_a_pressure_that_was_lost_fails_the_sample(monkeypatch):
    problem = Compressible1D(times=0.1)

    def broken(self, seed, indices, grid):
        w = torch.ones(len(indices), 3, *grid.shape, dtype=torch.float64)
        w[indices.index(7) :, 2, : grid.shape[0] // 2] = -1.0
        return w

    monkeypatch.setattr(Compressible1D, "initial", broken)
    with pytest.raises(SolveError, match="Compressible1D sample 7 of seed 0"):
        problem.sample(0, [2, 7], 16, estimate_error=False)


@pytest.mark.parametrize(
    "wrong", [{"gamma": 1.0}, {"eta": -1.0}, {"zeta": torch.inf}, {"max_mode": 0}, {"limiter": "none"}, {"times": 0.0}]
)
def test_parameters_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Compressible1D(**wrong)
