"""What the elliptic problems share is in test_darcy and the conformance tests; here is what each has of its own."""

from dataclasses import replace
from math import pi

import numpy as np
import pytest
import torch
from scipy.interpolate import make_interp_spline

from opnet.solvers.pde.darcy import Darcy
from opnet.solvers.pde.darcy_fno_published import DarcyFNOPublished
from opnet.solvers.pde.darcy_lognormal import DarcyLognormal
from opnet.solvers.pde.darcy_multiscale import DarcyMultiscale
from opnet.solvers.pde.helmholtz import Helmholtz
from opnet.solvers.pde.poisson import Poisson

SMOOTH = [DarcyLognormal(), Poisson(), Poisson("neumann"), Poisson("periodic"), Helmholtz(omega=12.0)]


@pytest.mark.parametrize("problem", SMOOTH, ids=lambda p: f"{type(p).__name__}-{getattr(p, 'boundary', '')}")
def test_error_estimates_are_calibrated(problem):
    coarse, reference = problem.sample(3, [0, 1], 32), problem.sample(3, [0, 1], 256, estimate_error=False)
    truth = reference.targets.unflatten(-1, (32, 8)).unflatten(-3, (32, 8)).mean((-1, -3))
    error = (coarse.targets - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)
    ratio = coarse.discretisation_error / error
    assert 0.85 < float(ratio.min()) <= float(ratio.max()) < 1.2


def test_lognormal_coefficients_are_exponentials_of_a_gaussian_field():
    a = DarcyLognormal().sample(0, range(8), 64, estimate_error=False).inputs
    assert float(a.min()) > 0
    assert 0.6 < float(a.log().std()) < 1.1


def test_multiscale_coefficients_are_the_printed_product():
    problem = DarcyMultiscale(scales=1)
    a = problem.coefficient(0, [3], problem.grid(8))[0]
    x, y = problem.grid(8).coordinates()
    waves = torch.linspace(1.0, 1.5, 50001, dtype=torch.float64)[:, None]
    corner = (1 + 0.5 * torch.cos(waves * pi * (x[0, 0] + y[0, 0]))) * (
        1 + 0.5 * torch.sin(waves * pi * (y[0, 0] - 3 * x[0, 0]))
    )
    wave = float(waves[(corner - a[0, 0]).abs().argmin()])
    expected = (1 + 0.5 * torch.cos(wave * pi * (x + y))) * (1 + 0.5 * torch.sin(wave * pi * (y - 3 * x)))
    torch.testing.assert_close(a, expected, rtol=1e-3, atol=1e-3)
    assert float(DarcyMultiscale().coefficient(0, [0], problem.grid(64)).min()) > 0


def test_without_flux_nothing_has_a_mean():
    samples = Poisson("neumann").sample(0, [0, 1], 32)
    assert float(samples.targets.mean((-2, -1)).abs().max()) < 1e-12


def test_the_published_scheme_overshoots_and_is_further_off():
    problem = DarcyFNOPublished(max_mode=20)
    grid = problem.grid(96)
    _, A, _ = problem.system(0, [0], grid, "cpu")
    faces = A.faces[0] * (1 / 95) ** 2
    assert float(faces.min()) < 2.5
    assert float(faces.max()) > 13
    published, clean = problem.sample(0, [0, 1], 96), problem.clean.sample(0, [0, 1], 96)
    assert torch.equal(published.inputs, clean.inputs)
    edge = published.targets[:, 0, 0].abs().amax(-1) / published.targets.flatten(1).amax(1)
    assert bool((edge > 0.01).all())
    assert bool((published.discretisation_error > clean.discretisation_error).all())


def test_the_published_scheme_is_that_of_the_script():
    """Its four steps written again, node by node, with other splines."""
    problem, n = DarcyFNOPublished(max_mode=6), 9
    samples = problem.sample(2, [4], n, estimate_error=False)
    midpoints, nodes = (np.arange(n) + 0.5) / n, np.linspace(0, 1, n)

    def brought(values, source, target):
        for _ in range(2):
            values = make_interp_spline(source, values, k=3)(target).T
        return values

    a = brought(samples.inputs[0, 0].numpy(), midpoints, nodes)
    places = [(i, j) for i in range(1, n - 1) for j in range(1, n - 1)]
    A = np.zeros((len(places), len(places)))
    for row, (i, j) in enumerate(places):
        for near in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            face = (a[i, j] + a[near]) / 2 * (n - 1) ** 2
            A[row, row] += face
            if near in places:
                A[row, places.index(near)] -= face
    u = np.zeros((n, n))
    u[1:-1, 1:-1] = np.linalg.solve(A, np.ones(len(places))).reshape(n - 2, n - 2)
    expected = torch.from_numpy(brought(u, nodes, midpoints).copy())
    torch.testing.assert_close(samples.targets[0, 0], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("problem", [DarcyFNOPublished(), Helmholtz()], ids=lambda p: type(p).__name__)
def test_what_the_cpu_solves_arrives_on_the_device_asked_for(problem):
    """At a size that a dense factorisation would refuse."""
    here, there = problem.sample(0, [2], 80), problem.sample(0, [2], 80, device="cuda")
    assert there.inputs.is_cuda
    assert there.targets.is_cuda
    torch.testing.assert_close(there.targets.cpu(), here.targets, rtol=1e-9, atol=0)


def test_waves_leave_and_the_square_does_not_ring():
    """In one medium, far from the source, the field of a point falls as the Hankel function of the distance."""
    problem = Helmholtz(omega=20.0, contrast=0.0, source=(0.5, 0.5), width=0.03)
    samples = problem.sample(0, [0], 96, estimate_error=False)
    u = torch.complex(*samples.targets[0])
    line = u[48:88, 48].abs() * (samples.grid.axis(0)[48:88] - 0.5).sqrt()
    assert float(line[10:].std() / line[10:].mean()) < 0.12


def test_waves_that_are_not_resolved_are_refused():
    with pytest.raises(ValueError, match=r"at least 43, 8 cells to the shortest wave, found 32"):
        Helmholtz(omega=25.0).grid(32)


@pytest.mark.parametrize(
    ("problem", "wrong"),
    [
        (DarcyLognormal(), {"sigma": 0.0}),
        (DarcyLognormal(), {"forcing": 0.0}),
        (DarcyMultiscale(), {"scales": 0}),
        (DarcyMultiscale(), {"rtol": 0.0}),
        (Poisson(), {"boundary": "robin"}),
        (Poisson(), {"tau": -1.0}),
        (Helmholtz(), {"omega": -1.0}),
        (Helmholtz(), {"contrast": 1.0}),
        (Helmholtz(), {"source": (2.0, 0.0)}),
        (DarcyFNOPublished(), {"max_mode": 0}),
        (Darcy(), {"forcing": torch.inf}),
    ],
    ids=str,
)
def test_arguments_are_checked(problem, wrong):
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))}: expected"):
        replace(problem, **wrong)
