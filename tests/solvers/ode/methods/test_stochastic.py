import math

import pytest
import torch
from marching import march, problem_of

from opnet.core.errors import SolveError
from opnet.solvers.ode.brownian import BrownianPath
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.fields import SDE, Field
from opnet.solvers.ode.methods.stochastic import SRIW1, SRIW1_TABLEAU, EulerMaruyama, Milstein
from opnet.solvers.ode.solve import solve_ode

METHODS = [EulerMaruyama(), Milstein(), SRIW1(adaptive=False)]
methods = pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
N = 400


def geometric(noise="diagonal", seed=3):
    return SDE(lambda t, y: 1.5 * y, lambda t, y: (1 + 0.2 * torch.sin(t)) * y, noise=noise, seed=seed)


def hyperbolic(noise="diagonal", seed=3):
    """X = tanh(W + artanh x0)."""
    return SDE(lambda t, y: -y * (1 - y**2), lambda t, y: 1 - y**2, noise=noise, seed=seed)


def error(method, n, noise="diagonal"):
    """Mean error along paths of the nonlinear equation, x0 = .2, to t = 1."""
    processes = 1 if noise == "scalar" else 2
    W = BrownianPath(3, N, processes)(1.0)
    y1 = march(method, hyperbolic(noise), torch.full((N, 2), 0.2).double(), 0.0, 1.0, n)
    return float((y1 - torch.tanh(W + math.atanh(0.2))).abs().mean())


@methods
@pytest.mark.parametrize("noise", ["diagonal", "scalar"])
def test_observed_strong_order(method, noise):
    errors = [error(method, n, noise) for n in (32, 128)]
    assert math.log2(errors[0] / errors[1]) / 2 == pytest.approx(method.order, abs=0.15)


def test_euler_maruyama_has_order_one_for_additive_noise():
    """An Ornstein-Uhlenbeck process, against the same path at small steps."""
    sde = SDE(lambda t, y: -3 * y, lambda t, y: torch.full_like(y, 0.7), noise="additive")
    y0 = torch.ones(N, 1).double()
    fine = march(SRIW1(adaptive=False), sde, y0, 0.0, 1.0, 512)
    errors = [float((march(EulerMaruyama(), sde, y0, 0.0, 1.0, n) - fine).abs().mean()) for n in (32, 128)]
    assert math.log2(errors[0] / errors[1]) / 2 == pytest.approx(1, abs=0.1)
    assert torch.equal(*(march(m, sde, y0, 0.0, 1.0, 4) for m in (EulerMaruyama(), Milstein())))


def test_general_noise_with_a_diagonal_matrix_is_diagonal_noise():
    general = SDE(
        lambda t, y: 1.5 * y, lambda t, y: torch.diag_embed((1 + 0.2 * torch.sin(t)) * y), noise="general", processes=2
    )
    y0 = torch.tensor([[0.5, 1.0], [0.2, -1.0]]).double()
    expected = march(EulerMaruyama(), geometric(seed=0), y0, 0.0, 1.0, 8)
    torch.testing.assert_close(march(EulerMaruyama(), general, y0, 0.0, 1.0, 8), expected)


def test_general_noise_of_a_state_without_a_batch():
    G = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]]).double()
    sde = SDE(lambda t, y: 0 * y, lambda t, y: G, noise="general", processes=3, seed=8)
    y1 = march(EulerMaruyama(), sde, torch.zeros(2).double(), 0.0, 1.0, 4)
    torch.testing.assert_close(y1, G @ BrownianPath(8, 1, 3)(1.0)[0])


@methods
def test_state_of_several_tensors(method):
    """Diagonal noise of a dict: each entry of each leaf has a process of its own."""
    y0 = {"a": torch.full((3, 2), 0.2).double(), "b": torch.full((3, 1, 2), -0.1).double()}
    sde = SDE(
        lambda t, y: {k: -x * (1 - x**2) for k, x in y.items()},
        lambda t, y: {k: 1 - x**2 for k, x in y.items()},
        seed=3,
    )
    y1 = march(method, sde, y0, 0.0, 1.0, 16)
    flat = march(method, hyperbolic(), torch.cat([y0["a"], y0["b"].flatten(1)], 1), 0.0, 1.0, 16)
    torch.testing.assert_close(torch.cat([y1["a"], y1["b"].flatten(1)], 1), flat)


def test_the_tableau_meets_the_conditions_of_strong_order_three_halves():
    """Roessler 2010, theorem 5.1: the sums that hold for all of A, B, C, D with the row sums below."""
    T = SRIW1_TABLEAU

    def dot(weights, values):
        return math.fsum(w * v for w, v in zip(weights, values, strict=True))

    Ae, Be, Ce, De = ([sum(row) for row in M] for M in (T.A, T.B, T.C, T.D))
    DDe = [dot(row, De[: len(row)]) for row in T.D]
    CBe = [dot(row[:2], Be[: len(row[:2])]) for row in T.C]
    ones = [1.0] * 4
    conditions = [
        (dot(T.a, [1, 1]), 1), (dot(T.a, Ae), 1 / 2), (dot(T.a, Be), 1), (dot(T.a, [x**2 for x in Be]), 3 / 2),
        (dot(T.b1, ones), 1), (dot(T.b2, ones), 0), (dot(T.b3, ones), 0), (dot(T.b4, ones), 0),
        (dot(T.b1, De), 0), (dot(T.b2, De), 1), (dot(T.b3, De), 0), (dot(T.b4, De), 0),
        (dot(T.b1, Ce), 1), (dot(T.b2, Ce), 0), (dot(T.b3, Ce), -1), (dot(T.b4, Ce), 0),
        (dot(T.b1, [x**2 for x in De]), 1), (dot(T.b2, [x**2 for x in De]), 0),
        (dot(T.b3, [x**2 for x in De]), -1), (dot(T.b4, [x**2 for x in De]), 2),
        (dot(T.b1, DDe), 0), (dot(T.b2, DDe), 0), (dot(T.b3, DDe), 0), (dot(T.b4, DDe), 1),
        (dot(T.b1, CBe) / 2 + dot(T.b3, CBe) / 3, 0),
    ]  # fmt: skip
    for found, expected in conditions:
        assert found == pytest.approx(expected, abs=1e-14)
    assert Ae == pytest.approx(T.c)
    assert Ce == pytest.approx(T.d)


def test_the_error_estimate_is_of_its_order():
    """Its root mean square falls as h^(3/2), and it is the distance to a method of strong order 1."""
    problem = problem_of(hyperbolic(), torch.full((4000, 1), 0.2).double())
    method = SRIW1()
    carry = method.start(problem, 0.0, problem.y0, problem.y0)
    sizes = [
        float(method.step(problem, 0.0, problem.y0, h, carry).error.square().mean().sqrt()) for h in (2**-6, 2**-10)
    ]
    assert math.log2(sizes[0] / sizes[1]) / 4 == pytest.approx(method.error_order, abs=0.1)


def test_tighter_tolerances_give_smaller_errors():
    ts, y0 = torch.tensor([0.0, 1.0]).double(), torch.full((100, 1), 0.2).double()
    exact = torch.tanh(BrownianPath(3, 100, 1)(1.0) + math.atanh(0.2))
    errors = []
    for tolerance in (1e-2, 1e-3, 1e-4):
        sol = solve_ode(hyperbolic(), y0, ts, SRIW1(), rtol=tolerance, atol=tolerance)
        errors.append(float((sol.ys[-1] - exact).abs().mean()))
        assert errors[-1] < 10 * tolerance
    assert errors[2] < errors[1] / 3 < errors[0] / 9


@pytest.mark.parametrize("joint", [False, True])
def test_rejected_steps_meet_the_same_path(joint, monkeypatch):
    """Entry 0 makes steps fail; entry 1 is its own Wiener process, which shows what path was seen."""
    asked = {}
    original = BrownianPath.with_integral

    def noted(self, t, rows=None):
        values = original(self, t, rows)
        times = torch.as_tensor(t, dtype=torch.float64).reshape(-1, 1).expand(len(values[0]), 1)
        which = range(len(values[0])) if rows is None else rows.tolist()
        for i, time, value in zip(which, times[:, 0].tolist(), values[0], strict=True):
            assert torch.equal(asked.setdefault((i, time), value), value)
        return values

    def diffusion(t, y):
        return torch.stack([4 * torch.sin(3 * y[..., 0]), torch.ones_like(y[..., 1])], -1)

    sde = SDE(lambda t, y: 0 * y, diffusion, seed=11)
    y0 = torch.tensor([[0.3, 0.0], [1.0, 0.0], [-2.0, 0.0]]).double()
    ts = torch.tensor([0.0, 0.25, 0.7, 1.5]).double()
    monkeypatch.setattr(BrownianPath, "with_integral", noted)
    sol = solve_ode(sde, y0, ts, SRIW1(), rtol=1e-3, atol=1e-3, control=PID(joint=joint))
    assert int(sol.rejected.sum()) > 10
    equal = solve_ode(sde, y0, ts, SRIW1(adaptive=False), step=0.01)
    W = torch.stack([original(BrownianPath(11, 3, 2), float(t))[0] for t in ts])
    # Steps end at outputs up to the last bit of t, where a path moves by 1e-8.
    torch.testing.assert_close(sol.ys[..., 1], W[..., 1], rtol=0, atol=2e-7)
    torch.testing.assert_close(equal.ys[..., 1], W[..., 1], rtol=0, atol=2e-7)


@methods
def test_an_element_has_its_path_in_any_batch(method):
    y0 = torch.full((4, 2), 0.2).double()
    t1 = torch.tensor([[1.0], [0.5], [0.8], [0.0]]).double()
    together = march(method, hyperbolic(), y0, torch.zeros(4, 1).double(), t1, 8, joint=False)
    for count in (1, 2, 3):
        alone = march(method, hyperbolic(), y0[:count], 0.0, float(t1[count - 1]), 8)
        torch.testing.assert_close(together[count - 1], alone[-1], rtol=1e-13, atol=1e-13)
    assert torch.equal(together[3], y0[3])  # at rest


def test_elements_that_go_on_keep_their_paths_when_others_end():
    """Elements end at times of their own and are computed no longer."""
    ends = torch.tensor([0.1, 0.1, 0.1, 2.0, 0.1, 0.1]).double()
    ts = torch.stack([torch.zeros(6).double(), ends], 1)
    y0 = torch.full((6, 1), 0.2).double()
    sol = solve_ode(hyperbolic(), y0, ts, SRIW1(), rtol=1e-4, atol=1e-4)
    W = torch.cat([BrownianPath(3, torch.tensor([i]), 1)(float(end)) for i, end in enumerate(ends)])
    torch.testing.assert_close(sol.ys[-1], torch.tanh(W + math.atanh(0.2)), rtol=0, atol=2e-3)


@methods
def test_a_lost_element_harms_no_other(method):
    y0 = torch.tensor([[0.2], [torch.nan], [0.2]]).double()
    sol = solve_ode(hyperbolic(), y0, torch.tensor([0.0, 1.0]).double(), method, step=0.1, throw=False)
    alone = solve_ode(
        hyperbolic(), torch.full((3, 1), 0.2).double(), torch.tensor([0.0, 1.0]).double(), method, step=0.1
    )
    assert torch.isnan(sol.ys[-1, 1]).all()
    assert torch.equal(sol.ys[:, [0, 2]], alone.ys[:, [0, 2]])
    assert (sol.status != 0).tolist() == [False, True, False]


@methods
@pytest.mark.parametrize("noise", ["diagonal", "scalar"])
def test_gradient_along_the_path_agrees_with_finite_differences(method, noise):
    def loss(y0, mu, sigma):
        sde = SDE(lambda t, y: mu * y * torch.cos(t), lambda t, y: sigma * torch.sin(y), noise=noise, seed=2)
        return march(method, sde, y0, 0.0, 1.0, 4).square().sum()

    arguments = torch.tensor([[0.3, 0.7]]), torch.tensor(-0.8), torch.tensor(0.6)
    assert torch.autograd.gradcheck(loss, [x.double().requires_grad_() for x in arguments])


def test_gradient_through_adaptive_steps():
    """Of geometric Brownian motion, dX/dsigma = X (W - sigma t)."""
    sigma = torch.tensor(0.5).double().requires_grad_()
    sde = SDE(lambda t, y: 0.3 * y, lambda t, y: sigma * y, seed=2)
    ts, y0 = torch.tensor([0.0, 1.0]).double(), torch.ones(4, 1).double()
    sol = solve_ode(sde, y0, ts, SRIW1(), rtol=1e-5, atol=1e-5)
    (slope,) = torch.autograd.grad(sol.ys[-1].sum(), sigma)
    W = BrownianPath(2, 4, 1)(1.0)
    expected = (torch.exp(0.3 - 0.125 + 0.5 * W) * (W - 0.5)).sum()
    assert float(slope) == pytest.approx(float(expected), abs=5e-3)


@methods
def test_both_precisions_see_the_same_path(method):
    y0 = torch.full((3, 2), 0.2)
    single = march(method, hyperbolic(), y0, 0.0, 1.0, 32)
    assert single.dtype == torch.float32
    torch.testing.assert_close(
        single, march(method, hyperbolic(), y0.double(), 0.0, 1.0, 32).float(), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize(
    ("method", "field", "message"),
    [
        (SRIW1(), Field(lambda t, y: y), "f: SRIW1 needs the structure of SDE"),
        (
            Milstein(),
            SDE(lambda t, y: y, lambda t, y: y[..., None], noise="general", processes=1),
            "SDE.noise: Milstein expected diagonal, additive, scalar noise, found 'general'",
        ),
    ],
)
def test_structure_is_checked(method, field, message):
    with pytest.raises(ValueError, match=message):
        solve_ode(field, torch.ones(2, 2), torch.tensor([0.0, 1.0]), method)


@pytest.mark.parametrize(
    ("diffusion", "message"),
    [
        (
            lambda t, y: y,
            r"SDE.diffusion: expected torch.float32 of \(batch, 2 entries, 3 processes\), found .*\(4, 2\)",
        ),
        (lambda t, y: 1.0, "SDE.diffusion: expected a Tensor, found 1.0"),
    ],
)
def test_form_of_a_general_diffusion_is_checked(diffusion, message):
    with pytest.raises(ValueError, match=message):
        march(
            EulerMaruyama(), SDE(lambda t, y: y, diffusion, noise="general", processes=3), torch.ones(4, 2), 0.0, 1.0, 1
        )


def test_time_must_increase_and_has_no_gradient():
    y0 = torch.ones(2, 1)
    with pytest.raises(ValueError, match=r"ts: expected increasing times for an SDE, found a step of -0\.5"):
        march(EulerMaruyama(), geometric(), y0, 1.0, 0.0, 2)
    with pytest.raises(ValueError, match="ts: expected times without gradients"):
        march(EulerMaruyama(), geometric(), y0, 0.0, torch.tensor(1.0, requires_grad=True), 2)
    with pytest.raises((ValueError, SolveError)):  # never a value
        solve_ode(geometric(), y0, torch.tensor([1.0, 0.0]), SRIW1())
