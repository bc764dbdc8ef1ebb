import math
from itertools import pairwise

import mpmath
import pytest
import torch
from marching import march, march_rows, problem_of

from opnet.linops.convolution import Convolution
from opnet.linops.dense import Dense
from opnet.linops.diagonal import Diagonal, Identity
from opnet.linops.diffusion import Diffusion
from opnet.linops.spectral import Spectral
from opnet.solvers.ode.fields import Field, Semilinear
from opnet.solvers.ode.methods.exponential import ETDRK4, matrix_phis, phis
from opnet.spaces.grid import Grid


def grid(n, length=1.0):
    return Grid((n,), extent=((0.0, length),), boundary="periodic")


def nothing(t, y):
    return torch.zeros_like(y)


def exact_phis(z):
    """By the Taylor series with 60 digits and more than its terms grow to."""
    with mpmath.workdps(60 + int(abs(z))):
        z = mpmath.mpc(z)
        values = []
        for k in range(4):
            total, term, n = mpmath.mpf(0), mpmath.mpf(1) / mpmath.factorial(k), 0
            while abs(term) > mpmath.mpf(10) ** (-50 - int(abs(z))) or n < abs(z):
                total, term, n = total + term, term * z / (n + k + 1), n + 1
            values.append(complex(total))
        return values


POINTS = [0, 1e-300, -1e-12, 1e-4, 0.3, -0.99, 0.999, 1, -1, -1.001, 1.5, -7, 20, -300, 0.5j, 1j, -1.001j, 40j, -3 + 2j]


def test_phi_functions_are_right_to_rounding():
    computed = torch.stack(phis(torch.tensor(POINTS, dtype=torch.complex128)), 1)
    expected = torch.tensor([exact_phis(z) for z in POINTS], dtype=torch.complex128)
    assert float(((computed - expected).abs() / expected.abs()).max()) < 5e-15
    real = [i for i, z in enumerate(POINTS) if not isinstance(z, complex)]
    computed = torch.stack(phis(torch.tensor([POINTS[i] for i in real], dtype=torch.float64)), 1)
    assert float(((computed - expected[real].real).abs() / expected[real].abs()).max()) < 5e-15


def test_phi_functions_of_matrices_are_those_of_their_eigenvalues():
    values = torch.tensor([[-60.0, -3.0, 0.0, 0.7], [0.0, 0.0, 1e-9, 0.0]]).double()
    V = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    whole, half = matrix_phis(V @ torch.diag_embed(values) @ V.T)
    for computed, expected in zip((*whole, *half), (*phis(values), *phis(values / 2)), strict=True):
        torch.testing.assert_close(computed, V @ torch.diag_embed(expected) @ V.T, rtol=0, atol=1e-13)


def test_phi_functions_of_a_defective_matrix():
    """Of a nilpotent one, whose series ends."""
    N = torch.diag(torch.ones(2, dtype=torch.float64), 1)
    whole, _ = matrix_phis(8 * N)
    for k, phi in enumerate(whole):
        terms = (torch.linalg.matrix_power(8 * N, j) / math.factorial(j + k) for j in range(3))
        torch.testing.assert_close(phi, sum(terms), rtol=1e-14, atol=1e-14)


def test_gradients_of_phi_functions():
    z = torch.tensor([0.0, 1e-9, 0.5, -0.9, 1.1, -30.0]).double().requires_grad_()
    assert torch.autograd.gradcheck(phis, z)
    A = torch.randn(3, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda A: sum(matrix_phis(3 * A), ()), A)


def circulant(n=12):
    """One operator, as each kind that the method takes."""
    kernel = torch.tensor([0.7, -2.0, 1.1]).double()
    convolution = Convolution(kernel, (n,), periodic=True)
    matrix = convolution.to_dense()
    symbol = torch.fft.rfft(matrix[:, 0])
    return {
        "convolution": convolution,
        "spectral": Spectral(symbol, grid(n)),
        "dense": Dense(matrix),
        "sum": 0.25 * Dense(matrix) + 0.75 * Dense(matrix),
        "scaled": torch.tensor(-3.0).double() * Spectral(symbol / -3, grid(n)),
    }


@pytest.mark.parametrize("name", circulant())
def test_every_kind_of_operator_gives_the_same(name):
    y0 = torch.randn(2, 12, dtype=torch.float64)
    operators = circulant()

    def solve(L):
        return march(ETDRK4(), Semilinear(L, lambda t, y: torch.cos(t + y)), y0, 0.0, 1.0, 4)

    torch.testing.assert_close(solve(operators[name]), solve(operators["dense"]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", circulant())
def test_exact_without_a_nonlinear_part(name):
    L, y0 = circulant()[name], torch.randn(3, 12, dtype=torch.float64)
    expected = y0 @ torch.linalg.matrix_exp(5 * circulant()["dense"].matrix).T
    torch.testing.assert_close(march(ETDRK4(), Semilinear(L, nothing), y0, 0.0, 5.0, 1), expected, rtol=0, atol=1e-13)


def test_exact_for_stiff_eigenvalues_of_every_size():
    d = torch.tensor([-1e8, -1.0, -1e-8, 0.0, 0.5]).double()
    y1 = march(ETDRK4(), Semilinear(Diagonal(d), nothing), torch.ones(1, 5).double(), 0.0, 2.0, 4)
    torch.testing.assert_close(y1[0], torch.exp(2 * d), rtol=1e-15, atol=0)


def test_is_the_classical_method_where_there_is_no_linear_part():
    def f(t, y):
        return torch.sin(t + 1) * y.square() - y

    y0, h = torch.tensor([[0.3, -1.2]]).double(), 0.4
    L = Diagonal(torch.zeros(2).double())
    t = torch.zeros(()).double()
    k1 = f(t, y0)
    k2 = f(t + h / 2, y0 + h / 2 * k1)
    k3 = f(t + h / 2, y0 + h / 2 * k2)
    k4 = f(t + h, y0 + h * k3)
    expected = y0 + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    torch.testing.assert_close(march(ETDRK4(), Semilinear(L, f), y0, 0.0, h, 1), expected, rtol=1e-15, atol=1e-15)


def kuramoto_sivashinsky(n=64):
    """u_t = -u_xx - u_xxxx - u u_x on a period of 32 pi."""
    axis = grid(n, 32 * math.pi)
    derivative = Spectral(lambda k: 1j * k, axis)
    x = axis.axis(0)
    u0 = torch.cos(x / 16) * (1 + torch.sin(x / 16))
    return Semilinear(Spectral(lambda k: k**2 - k**4, axis), lambda t, u: -derivative.apply(u**2) / 2), u0[None]


def test_order_four_on_the_kuramoto_sivashinsky_equation():
    """Eigenvalues down to -18 with h = 1/4, which no explicit method of this order takes."""
    field, u0 = kuramoto_sivashinsky()
    fine = march(ETDRK4(), field, u0, 0.0, 20.0, 2000)
    errors = [float((march(ETDRK4(), field, u0, 0.0, 20.0, n) - fine).abs().max()) for n in (160, 320, 640)]
    assert errors[-1] > 1e-11
    for a, b in pairwise(errors):
        assert math.log2(a / b) == pytest.approx(4, abs=0.2)


def test_order_four_with_a_dense_operator_and_time():
    A = torch.tensor([[-16.0, 15.0], [15.0, -16.0]]).double()
    field = Semilinear(Dense(A), lambda t, y: torch.sin(3 * t) + y.flip(-1) * torch.cos(y))
    y0 = torch.tensor([[0.4, 1.0], [0.3, -0.2]]).double()
    fine = march(ETDRK4(), field, y0, 0.0, 2.0, 800)
    errors = [float((march(ETDRK4(), field, y0, 0.0, 2.0, n) - fine).abs().max()) for n in (80, 160)]
    assert errors[-1] > 1e-12
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.2)


def test_two_dimensions_with_channels():
    """Axes of L are the last of the state; a channel may have an operator of its own."""
    plane = Grid((6, 8), boundary="periodic")
    rates = torch.tensor([0.01, 0.03]).double()
    laplacian = Spectral.laplacian(plane)
    L = Spectral(rates[:, None, None] * laplacian.m, plane)
    y0 = torch.randn(3, 2, 6, 8, dtype=torch.float64)
    y1 = march(ETDRK4(), Semilinear(L, lambda t, y: torch.sin(y)), y0, 0.0, 0.5, 5)
    for channel in range(2):
        alone = Semilinear(float(rates[channel]) * laplacian, lambda t, y: torch.sin(y))
        expected = march(ETDRK4(), alone, y0[:, channel], 0.0, 0.5, 5)
        torch.testing.assert_close(y1[:, channel], expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ["diagonal", *circulant()])
def test_samples_have_times_and_steps_of_their_own(name):
    L = {**circulant(), "diagonal": Diagonal(torch.linspace(-30, 0, 12).double())}[name]
    field = Semilinear(L, lambda t, y: torch.sin(t) * y**2)
    y0 = torch.rand(3, 12, dtype=torch.float64)
    y0[2] = torch.nan
    t0, t1 = torch.tensor([[0.0], [0.7], [0.0]]).double(), torch.tensor([[1.0], [0.7], [1.0]]).double()
    together = march(ETDRK4(), field, y0, t0, t1, 3, joint=False)
    torch.testing.assert_close(together[:1], march(ETDRK4(), field, y0[:1], 0.0, 1.0, 3), rtol=1e-13, atol=1e-13)
    assert torch.equal(together[1], y0[1])  # at rest
    assert torch.isnan(together[2]).all()


def test_a_last_step_of_another_size():
    d = torch.tensor([-50.0, -1.0]).double()
    problem = problem_of(Semilinear(Diagonal(d), lambda t, y: torch.ones_like(y)), torch.zeros(1, 2).double())
    y, t = problem.y0, 0.0
    for h in (0.3, 0.3, 0.3, 0.05, 0.3):
        y, t = ETDRK4().step(problem, t, y, h, ()).y, t + h
    torch.testing.assert_close(y[0], torch.expm1(d * t) / d, rtol=1e-14, atol=0)


def test_multipliers_are_made_once_for_each_step_size(monkeypatch):
    from opnet.solvers.ode.methods import exponential

    made = []
    original = exponential._made
    monkeypatch.setattr(exponential, "_made", lambda basis, h, dtype: made.append(h) or original(basis, h, dtype))
    problem = problem_of(Semilinear(Identity(2), nothing), torch.zeros(1, 2).double())
    march_rows(ETDRK4(), problem, 0.0, 1.0, 8)
    march_rows(ETDRK4(), problem, torch.zeros(1, 1).double(), torch.ones(1, 1).double(), 8)
    assert len(made) == 2
    for i in range(1, 20):
        ETDRK4().step(problem, 0.0, problem.y0, 1.0 / i, ())
    assert len(problem.cached("ETDRK4 multipliers", dict)) == exponential.KEPT


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_agrees_with_finite_differences(dtype):
    """To the start, both ends of time, L and the parameters of the rest."""

    def loss(y0, d, a, t1):
        field = Semilinear(Diagonal(d), lambda t, y: a * torch.sin(t + y))
        return march(ETDRK4(), field, y0, torch.zeros((), dtype=d.dtype), t1, 3).square().sum()

    y0, d = torch.tensor([[0.3, 0.7]]), torch.tensor([-8.0, -0.2])
    arguments = [x.to(dtype).requires_grad_() for x in (y0, d, torch.tensor(1.3), torch.tensor(0.9))]
    if dtype == torch.float64:
        assert torch.autograd.gradcheck(loss, arguments)
    else:
        slopes = torch.autograd.grad(loss(*arguments), arguments)
        double = [x.detach().double().requires_grad_() for x in arguments]
        for a, b in zip(slopes, torch.autograd.grad(loss(*double), double), strict=True):
            torch.testing.assert_close(a, b.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["spectral", "dense", "convolution"])
def test_gradient_to_the_operator(name):
    L = circulant(4)[name]
    y0 = torch.randn(2, 4, dtype=torch.float64)

    def loss(*tensors):
        field = Semilinear(L.rebuild(tensors), lambda t, y: torch.sin(t + y))
        return march(ETDRK4(), field, y0, 0.0, 1.0, 2).square().sum()

    assert torch.autograd.gradcheck(loss, [x.detach().clone().requires_grad_() for x in L.tensors])


@pytest.mark.parametrize(
    ("field", "y0", "message"),
    [
        (Field(lambda t, y: y), torch.ones(1, 2), "f: ETDRK4 needs the structure of Semilinear"),
        (Semilinear(Diffusion(torch.ones(4), grid(4)), nothing), torch.ones(1, 4), "one of these kinds, found Diffus"),
        (Semilinear(Convolution(torch.ones(3), (4,)), nothing), torch.ones(1, 4), "Convolution periodic.*found Convol"),
        (Semilinear(Identity(2) + Dense(torch.eye(2).double()), nothing), torch.ones(1, 2).double(), "found Sum"),
        (Semilinear(Dense(torch.ones(2, 3)), nothing), torch.ones(1, 3), "found Dense"),
        (Semilinear(Identity(2), nothing), torch.ones(1, 3).double(), r"y0: ETDRK4.*found torch.float64 of \(3,\)"),
        (Semilinear(Identity(2), nothing), torch.ones(1, 2), r"expected.*float64 of.*2\), found torch.float32"),
        (Semilinear(Identity(2), nothing), (torch.ones(1, 2),), "found 1 tensors"),
    ],
)
def test_structure_is_checked(field, y0, message):
    problem = problem_of(field, y0)
    with pytest.raises(ValueError, match=message):
        ETDRK4().start(problem, 0.0, problem.y0, problem.y0)
