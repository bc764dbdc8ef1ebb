import pytest
import torch

from opnet.solvers.pde.compressible_2d import Compressible2D


def test_turbulence_starts_without_divergence_at_the_mach_number():
    problem = Compressible2D(start="turbulence", mach=0.5)
    w = problem.initial(0, [0, 1], problem.grid(64))
    k = 2j * torch.pi * torch.fft.fftfreq(64, 1 / 64, dtype=torch.float64)
    transform = torch.fft.fft2(w[:, 1:3])
    divergence = torch.fft.ifft2(k[:, None] * transform[:, 0] + k * transform[:, 1]).real
    assert float(divergence.abs().max()) < 1e-10
    speed = w[:, 1:3].square().sum(1).sqrt().mean((1, 2))
    sound = (problem.gamma * w[:, 3] / w[:, 0]).sqrt().mean((1, 2))
    torch.testing.assert_close(speed / sound, torch.full_like(speed, 0.5))


def test_random_states_are_admissible_at_their_mach_number():
    problem = Compressible2D()
    w = problem.initial(0, range(300), problem.grid(32))
    assert float(w[:, [0, 3]].min()) > 0
    for channel in (0, 3):
        mean = w[:, channel].mean((1, 2), keepdim=True)
        share = (w[:, channel] / mean - 1).abs().mean((1, 2))
        assert 0.009 < float(share.min()) < float(share.max()) < 0.21
    rho, p = w[:, 0].mean((1, 2)), w[:, 3].mean((1, 2))
    speed = w[:, 1:3].square().sum(1).sqrt().mean((1, 2))
    torch.testing.assert_close(speed / (problem.gamma * p / rho).sqrt(), torch.full_like(speed, 0.1), rtol=0.02, atol=0)


def test_mass_and_energy_are_conserved():
    samples = Compressible2D(times=0.05, mach=1.0).sample(0, [0, 1], 16)
    for name in ("mass_defect", "energy_defect"):
        assert float(samples.diagnostics[name].max()) < 1e-13


@pytest.mark.parametrize("wrong", [{"start": "shock"}, {"mach": 0.0}, {"max_mode": 0}, {"gamma": 0.9}])
def test_parameters_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Compressible2D(**wrong)
