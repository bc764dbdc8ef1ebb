import pytest
import torch

from opnet.solvers.multigrid.tridiagonal import Tridiagonal

SIZES = [1, 2, 3, 5, 8, 13]


def bands(n, dtype, batch=(2,)):
    """Diagonally dominant ones of `batch` times 3 systems, along the last axis but one."""
    lower, upper = (-torch.rand(*batch, n, 3, dtype=dtype) for _ in range(2))
    return lower, torch.rand(*batch, n, 3, dtype=dtype) + 3, upper


def dense(lower, diagonal, upper, periodic):
    """The matrices; bands (..., n)."""
    n = diagonal.shape[-1]
    index = torch.arange(n)
    matrix = torch.diag_embed(diagonal)
    for band, step in ((lower, -1), (upper, 1)):
        inside = (index + step >= 0) & (index + step < n) | periodic
        for i in index[inside].tolist():
            matrix[..., i, (i + step) % n] += band[..., i]
    return matrix


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_solves_what_a_dense_method_solves(n, periodic, dtype):
    parts = bands(n, dtype)
    matrix = dense(*(band.mT for band in parts), periodic)  # (2, 3, n, n)
    r = torch.randn(4, 2, n, 3, dtype=dtype)
    x = Tridiagonal(*parts, -2, periodic).solve(r)
    exact = torch.linalg.solve(matrix, r.mT.unsqueeze(-1)).squeeze(-1).mT
    torch.testing.assert_close(x, exact)


def test_along_the_last_axis():
    lower, diagonal, upper = (band.mT.contiguous() for band in bands(7, torch.float64))
    x = torch.randn(2, 3, 7, dtype=torch.float64)
    r = (dense(lower, diagonal, upper, False) @ x.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(Tridiagonal(lower, diagonal, upper, -1).solve(r), x)


def test_what_lies_beyond_the_ends_is_not_looked_at():
    lower, diagonal, upper = bands(6, torch.float64)
    r = torch.randn(2, 6, 3, dtype=torch.float64)
    x = Tridiagonal(lower, diagonal, upper, -2).solve(r)
    lower[:, 0], upper[:, -1] = torch.nan, torch.inf
    assert torch.equal(Tridiagonal(lower, diagonal, upper, -2).solve(r), x)


@pytest.mark.parametrize("periodic", [False, True])
def test_one_bad_system_harms_itself_alone(periodic):
    lower, diagonal, upper = bands(6, torch.float64)
    r = torch.randn(2, 6, 3, dtype=torch.float64)
    clean = Tridiagonal(lower, diagonal, upper, -2, periodic).solve(r)
    diagonal[1, 4, 2] = torch.nan
    x = Tridiagonal(lower, diagonal, upper, -2, periodic).solve(r)
    assert bool(torch.isnan(x[1, :, 2]).all())
    assert torch.equal(x[0], clean[0])
    assert torch.equal(x[1, :, :2], clean[1, :, :2])


def test_arguments_are_left_alone():
    parts, r = bands(5, torch.float64), torch.randn(2, 5, 3, dtype=torch.float64)
    copies = [part.clone() for part in (*parts, r)]
    Tridiagonal(*parts, -2, True).solve(r)
    assert all(torch.equal(part, copy) for part, copy in zip((*parts, r), copies, strict=True))


@pytest.mark.parametrize("periodic", [False, True])
def test_long_lines_of_a_diffusion_in_single_precision(periodic):
    """Barely held: the condition number is 2e4."""
    one = torch.ones(300, 2)
    x = torch.sin(torch.arange(600.0)).reshape(300, 2).double()
    double = Tridiagonal(-one.double(), 2.0002 * one.double(), -one.double(), -2, periodic)
    r = 2.0002 * x - torch.roll(x, 1, 0) - torch.roll(x, -1, 0)
    if not periodic:
        r[0] += x[-1]
        r[-1] += x[0]
    torch.testing.assert_close(double.solve(r), x, rtol=0, atol=1e-10)
    single = Tridiagonal(-one, 2.0002 * one, -one, -2, periodic)
    torch.testing.assert_close(single.solve(r.float()), x.float(), rtol=0, atol=5e-3)
