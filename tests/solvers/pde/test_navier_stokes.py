from dataclasses import replace

import pytest
import torch
from pde_orders.states import Given

from opnet.solvers.pde.evolution import HORIZON
from opnet.solvers.pde.navier_stokes import NavierStokes
from opnet.spaces.fields.gaussian import GaussianField

PI = torch.pi
SMOOTH = GaussianField(7.0, 2.5, 7.0**1.5, boundary="periodic", max_mode=8)


def small(**arguments):
    return NavierStokes(**{"times": (0.0, 0.5, 1.0), "initial": SMOOTH, "nodes": 32, "step": 0.05, **arguments})


@pytest.mark.parametrize(("name", "rms"), [("code", 0.19), ("paper", 0.043), ("script", 0.19 * 2**0.5)])
def test_the_published_initial_states_have_their_sizes(name, rms):
    problem = NavierStokes(initial=name)
    w0 = problem.initial_fields[0].sample(0, range(200), problem.grid(32))
    assert float(w0.square().mean().sqrt()) == pytest.approx(rms, rel=0.06)


def test_vortices_of_taylor_and_green_decay():
    def vortices(x):
        return torch.sin(2 * PI * x[0]) * torch.sin(2 * PI * x[1])

    problem = small(initial=Given(vortices), forcing=0.0, nu=0.02)
    samples = problem.sample(0, [0], 24)
    decay = torch.exp(-8 * PI**2 * 0.02 * samples.times)
    torch.testing.assert_close(samples.targets[0, :, 0], decay[:, None, None] * vortices(samples.grid.coordinates()))


def test_a_steady_force_makes_the_flow_that_balances_it():
    """Along x + y = const there is no advection: w -> f / (nu 8 pi^2)."""
    problem = small(times=30.0, initial=Given(lambda x: torch.zeros_like(x[0])), nu=0.01, step=0.1)
    samples = problem.sample(0, [0], 16, estimate_error=False)
    x, y = samples.grid.coordinates()
    f = problem.force(x, y)
    torch.testing.assert_close(samples.targets[0, 0], f / (0.01 * 8 * PI**2), rtol=1e-8, atol=1e-8)


def test_without_force_or_viscosity_to_speak_of_energy_and_enstrophy_stay():
    problem = small(initial=SMOOTH, forcing=0.0, nu=1e-12, step=0.02)
    states = problem.solve(0, [0], problem.grid(48)).states[0, :, 0]
    enstrophy = states.square().mean((1, 2))
    assert float((enstrophy / enstrophy[0] - 1).abs().max()) < 1e-3
    power = torch.fft.fft2(states).abs().square()
    k = torch.fft.fftfreq(48, 1 / 48)
    energy = (power / (k[:, None] ** 2 + k**2).clamp(min=1)).sum((1, 2))
    assert float((energy / energy[0] - 1).abs().max()) < 1e-3


def test_the_estimate_is_the_error_and_the_mean_stays():
    problem = small(nodes=64, step=0.1)
    samples = problem.sample(0, [0, 1], 32)
    truth = replace(problem, step=0.01).sample(0, [0, 1], 32, estimate_error=False).targets
    error = (samples.targets - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)
    ratio = samples.discretisation_error / error
    assert bool((ratio > 0.5).all())
    assert bool((ratio < 2).all())
    assert float(samples.diagnostics["mean_vorticity"].max()) < 1e-14
    assert samples.diagnostics[HORIZON].tolist() == [1.0, 1.0]


def test_fast_flows_take_shorter_steps():
    """At a speed for which the step asked for is unstable."""
    fast = GaussianField(7.0, 2.5, 30 * 7.0**1.5, boundary="periodic", max_mode=4)
    problem = small(times=0.2, initial=fast, nu=0.02, step=0.2)
    samples = problem.sample(0, [0, 1], 16)
    assert float(samples.discretisation_error.max()) < 1e-3


def test_wrong_arguments_say_what_was_expected():
    for arguments, match in (
        ({"nu": -1.0}, "NavierStokes.nu: expected a positive"),
        ({"forcing": float("inf")}, "NavierStokes.forcing: expected a finite"),
        ({"initial": "papers"}, "NavierStokes.initial: expected .*'paper'.*found 'papers'"),
    ):
        with pytest.raises(ValueError, match=match):
            NavierStokes(**arguments)


def test_boxes_follow_the_spectrum_and_lose_nothing(monkeypatch):
    """Viscosity soon clears most of the modes that w_0 has."""
    rough = GaussianField(7.0, 2.5, 7.0**1.5, boundary="periodic", max_mode=40)
    problem = small(times=(0.0, 4.0, 8.0), initial=rough, nodes=128, nu=4e-3, forcing=0.4)
    sizes = []
    own = NavierStokes._nodes_for

    def noted(self, modes, box, start):
        sizes.append(box.shape[0])
        return own(self, modes, box, start)

    monkeypatch.setattr(NavierStokes, "_nodes_for", noted)
    followed = problem.solve(0, [0, 1], problem.grid(48)).states
    assert min(sizes) <= 64
    assert max(sizes) == 128
    monkeypatch.setattr(NavierStokes, "follows_spectrum", False)
    fixed = problem.solve(0, [0, 1], problem.grid(48)).states
    torch.testing.assert_close(followed, fixed, rtol=0, atol=1e-9)
