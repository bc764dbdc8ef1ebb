from math import pi

import pytest
import torch

from opnet.linops.spectral import Spectral, wavenumbers
from opnet.spaces.grid import Grid


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def grid(*shape, nodes="cell"):
    return Grid(shape, extent=((0, 2), (-1, 0.5), (0, 1))[: len(shape)], boundary="periodic", nodes=nodes)


@pytest.mark.parametrize("nodes", ["cell", "left"])
def test_derivatives_of_trigonometric_polynomials_are_exact(nodes):
    where = grid(12, 9, nodes=nodes)
    x, y = where.coordinates()
    a, b = pi * 2, 2 * pi / 1.5  # the second wave of length 2, the first of length 1.5
    u = torch.sin(a * x) * torch.cos(b * y)
    torch.testing.assert_close(Spectral.laplacian(where) @ u, -(a**2 + b**2) * u)
    mixed = Spectral(lambda p, q: 1j * p * q.square(), where)
    torch.testing.assert_close(mixed @ u, a * b**2 * torch.cos(a * x) * torch.cos(b * y))


@pytest.mark.parametrize("shape", [(8,), (7,), (6, 8), (4, 5)])
def test_real_operators_are_the_complex_ones_restricted(shape):
    """The highest wave of an even axis is its own opposite, so there an odd derivative gives nothing."""

    def odd(*k):
        return 1j * sum(k) + sum(ki**2 for ki in k) + 1

    real, full = Spectral(odd, grid(*shape)), Spectral(odd, grid(*shape), dtype=torch.complex128)
    x = random(*shape)
    transform = torch.fft.fftn(x)
    for axis, n in enumerate(shape):
        if n % 2 == 0:
            transform.select(axis, n // 2).zero_()
    x = torch.fft.ifftn(transform).real
    torch.testing.assert_close((real @ x).to(torch.complex128), full @ x.to(torch.complex128))
    highest = torch.ones(8, dtype=torch.float64)
    highest[1::2] = -1
    derivative = Spectral(lambda k: 1j * k, grid(8))
    torch.testing.assert_close(derivative @ highest, torch.zeros(8, dtype=torch.float64))


def test_inverse_solves_on_all_waves_that_are_not_in_the_kernel():
    x = random(6, 7)
    helmholtz = Spectral(lambda p, q: 1 + p**2 + q**2, grid(6, 7))
    torch.testing.assert_close(helmholtz.inverse() @ (helmholtz @ x), x)
    laplacian = Spectral.laplacian(grid(6, 7))
    torch.testing.assert_close(laplacian.inverse() @ (laplacian @ x), x - x.mean())
    assert helmholtz.nullspace() is None
    torch.testing.assert_close(laplacian.nullspace(), torch.full((1, 6, 7), 42**-0.5, dtype=torch.float64))


def test_values_that_contradict_each_other_act_as_their_hermitian_part():
    values = random(4, 3, dtype=torch.complex128)
    A = Spectral(values, grid(4, 4))
    x = random(4, 4, seed=1)
    torch.testing.assert_close(A @ x, torch.fft.irfftn(values * torch.fft.rfftn(x), (4, 4)))
    torch.testing.assert_close(A.inverse() @ (A @ x), x)


def test_wavenumbers_are_angular():
    k = wavenumbers(grid(4, 4), torch.float64)
    assert [tuple(ki.shape) for ki in k] == [(4, 1), (3,)]
    torch.testing.assert_close(k[0].flatten() / pi, torch.tensor([0, 1, -2, -1], dtype=torch.float64))
    torch.testing.assert_close(k[1] * 1.5 / (2 * pi), torch.tensor([0, 1, 2], dtype=torch.float64))


def test_parameters_of_the_function_get_gradients():
    p, x = torch.tensor(0.5, dtype=torch.float64, requires_grad=True), random(8)
    assert torch.autograd.gradcheck(lambda p: Spectral(lambda k: torch.exp(-p * k**2), grid(8)) @ x, (p,))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Spectral(lambda k: k, Grid((4,), nodes="cell")), "expected periodic axes"),
        (lambda: Spectral(lambda k: 1j * k**2, grid(4)), r"expected m\(-k\) = conj\(m\(k\)\) .* at 1 wavenumbers"),
        (lambda: Spectral(torch.ones(4), grid(4)), r"shape \(..., 3 frequencies\) of .*, found \(4,\)"),
        (lambda: Spectral(torch.ones(3), grid(4), dtype=torch.float64), "float64 or torch.complex128, found"),
        (lambda: Spectral.laplacian(grid(4)).to(dtype=torch.complex64), "expected a real dtype"),
    ],
)
def test_what_is_no_multiplier_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
