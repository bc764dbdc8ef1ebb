import pytest
import torch

from opnet.solvers.ode.fields import Semilinear
from opnet.solvers.ode.methods.exponential import ETDRK4
from opnet.solvers.ode.solve import solve_ode
from opnet.solvers.pde.schemes.etdrk4 import MOST_HALVINGS, etdrk4
from opnet.solvers.pde.schemes.kept_modes import KeptModes
from opnet.spaces.grid import Grid


def test_takes_the_steps_of_the_ode_method():
    from opnet.linops.spectral import Spectral

    grid = Grid((32,), boundary="periodic")
    u0 = torch.sin(6.283185307179586 * grid.axis(0))[None]
    ts = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    L = 0.01 * Spectral.laplacian(grid)
    theirs = solve_ode(Semilinear(L, lambda t, u: u - u**3), u0, ts, ETDRK4(), step=0.1).ys
    frames = etdrk4(
        L.operator.m * 0.01,
        lambda t, m: torch.fft.rfft(torch.fft.irfft(m, 32) - torch.fft.irfft(m, 32) ** 3),
        torch.fft.rfft(u0),
        ts.tolist(),
        0.1,
    )
    torch.testing.assert_close(torch.fft.irfft(torch.stack(frames), 32), theirs, rtol=0, atol=1e-13)


@pytest.mark.parametrize("symbol", [-2.0, 3j])
def test_the_linear_part_is_exact(symbol):
    modes = torch.ones(2, 3, dtype=torch.complex128)
    symbol = torch.tensor(symbol, dtype=torch.complex128 if isinstance(symbol, complex) else torch.float64)
    end = etdrk4(symbol, lambda t, u: torch.zeros_like(u), modes, (0.0, 1.5), 1.0)[-1]
    torch.testing.assert_close(end, torch.exp(1.5 * symbol) * modes)


def test_every_sample_takes_the_steps_it_needs():
    """u' = u^2: the step of each follows its u, whatever the other's is."""
    calls = []

    def square(t, u):
        calls.append(len(u))
        return u**2

    def run(*start):
        calls.clear()
        modes = torch.tensor(start, dtype=torch.complex128)[:, None]
        return etdrk4(torch.zeros(1, dtype=torch.float64), square, modes, (0.0, 0.1), 0.1, lambda u: 40 * u[:, 0].real)

    both = run(1.0, 0.1)[-1]
    assert sorted(calls) == [1] * (4 * 4 + 4)  # one in 4 steps, one in 1
    assert torch.equal(run(1.0)[-1][0], both[0])
    assert torch.equal(run(0.1)[-1][0], both[1])
    assert float((both[0].real - 1 / 0.9).abs()) < 1e-7


def test_states_that_grow_without_end_end():
    calls = []

    def count(t, u):
        calls.append(t)
        return torch.zeros_like(u)

    for rate, steps in ((1e300, 2**MOST_HALVINGS), (float("nan"), 1)):
        calls.clear()
        modes = torch.ones(1, 1, dtype=torch.complex128)
        etdrk4(
            torch.zeros(1).double(),
            count,
            modes,
            (0.0, 1.0),
            1.0,
            lambda u, rate=rate: torch.tensor([rate], dtype=torch.float64),
        )
        assert len(calls) == 4 * steps


@pytest.mark.parametrize("shape", [(12,), (8, 12), (12, 9), (6, 8, 10)])
def test_kept_modes_are_those_of_rfftn(shape):
    box = Grid(shape, boundary="periodic")
    kept = KeptModes(box)
    u = torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    axes = tuple(range(1, 1 + len(shape)))
    modes = kept.of(u)
    torch.testing.assert_close(modes, torch.fft.rfftn(u, dim=axes)[..., : modes.shape[-1]])
    assert modes.shape[1:] == kept.mask.shape
    smooth = kept.values(modes * kept.mask)
    torch.testing.assert_close(kept.of(smooth), modes * kept.mask)
    products = torch.fft.rfftn(smooth**2, dim=axes)[..., : modes.shape[-1]] * kept.mask
    fine = tuple(2 * n for n in shape)  # products of kept modes have no aliases among the kept
    wide = torch.fft.irfftn(_padded(torch.fft.rfftn(smooth, dim=axes), shape, fine), fine, axes)
    exact = torch.fft.rfftn(wide**2, dim=axes) / 2 ** len(shape)
    at = _places(shape)
    exact = exact[(slice(None), *at, slice(None))] if at else exact
    torch.testing.assert_close(products, exact[..., : modes.shape[-1]] * kept.mask)


def _places(shape):
    """Of the modes of all axes but the last, on any finer grid."""
    places = [torch.fft.fftfreq(n, 1 / n).round().long() for n in shape[:-1]]
    return torch.meshgrid(*places, indexing="ij") if places else ()


def _padded(modes, shape, fine):
    """Of `rfftn` on a grid, on a finer one."""
    out = torch.zeros(len(modes), *fine[:-1], fine[-1] // 2 + 1, dtype=modes.dtype)
    at = _places(shape)
    low = modes * 2 ** len(shape)
    if at:
        padded = torch.zeros(len(modes), *fine[:-1], low.shape[-1], dtype=modes.dtype)
        padded[(slice(None), *at, slice(None))] = low
        low = padded
    out[..., : low.shape[-1]] = low
    return out
