import pytest
import torch

from opnet.solvers.ode.fields import Field
from opnet.solvers.ode.jacobian import Jacobians, colour_rows
from opnet.solvers.ode.problem import Problem

F64 = torch.float64


def _problem(y, f, args=(), joint=True):
    return Problem(Field(f, args), y, joint=joint, rtol=1e-5, atol=1e-7, keep=False, estimates=False)


def _rows(n, batch=3, seed=0):
    return torch.randn(batch, n, dtype=F64, generator=torch.Generator().manual_seed(seed))


def _twist(t, y):
    """Nonlinear, each entry with its neighbours; depends on t."""
    return torch.sin(t * y) + y.roll(1, 1) * y**2 - t**2 * y.roll(-1, 1)


def _exact(f, t, y):
    """df/dy and df/dt of each row, by torch's own functional forward mode."""
    J = torch.stack([torch.func.jacfwd(lambda x: f(t, x[None])[0])(row) for row in y])
    slope = torch.func.jvp(lambda s: f(s, y), (t,), (torch.ones_like(t),))[1]
    return J, slope


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("form", ["number", "scalar", "rows"])
def test_linearisation_is_the_derivative_of_every_row(n, form):
    y, now = _rows(n), torch.tensor(0.7, dtype=F64)
    t = {"number": 0.7, "scalar": now, "rows": now.expand(3, 1)}[form]
    problem = _problem(y, _twist, joint=form != "rows")
    jacobians = Jacobians(problem, problem.f)
    value, J, slope = jacobians.linearise(t, y)
    exact, exact_slope = _exact(_twist, now, y)
    assert problem.evaluations == 1
    torch.testing.assert_close(value, _twist(now, y))
    torch.testing.assert_close(J, exact)
    torch.testing.assert_close(slope, exact_slope)
    torch.testing.assert_close(jacobians(t, y), exact)
    torch.testing.assert_close(jacobians.time_derivative(t, y), exact_slope)
    assert not any(x.requires_grad for x in (value, J, slope))


def test_times_of_each_row():
    y, t = _rows(3), torch.tensor([[0.1], [0.5], [2.0]], dtype=F64)
    problem = _problem(y, _twist, joint=False)
    _, J, slope = Jacobians(problem, problem.f).linearise(t, y)
    for i in range(3):
        exact, exact_slope = _exact(_twist, t[i, 0], y[i : i + 1])
        torch.testing.assert_close(J[i : i + 1], exact)
        torch.testing.assert_close(slope[i : i + 1], exact_slope)


def test_time_and_state_that_f_does_not_use():
    y = _rows(3)
    problem = _problem(y, lambda t, y: y**2)
    jacobians = Jacobians(problem, problem.f)
    assert jacobians.linearise(1.0, y).time is None
    assert torch.equal(jacobians.time_derivative(1.0, y), torch.zeros_like(y))
    constant = _problem(y, lambda t, y: torch.ones_like(y))
    value, J, slope = Jacobians(constant, constant.f).linearise(1.0, y)
    assert value.eq(1).all()
    assert J.eq(0).all()
    assert slope is None
    forced = _problem(y, lambda t, y: torch.cos(t) * torch.ones_like(y))
    _, J, slope = Jacobians(forced, forced.f).linearise(1.0, y)
    assert J.eq(0).all()
    torch.testing.assert_close(slope, -torch.sin(torch.tensor(1.0, dtype=F64)).expand(3, 3))


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("given", [False, True])
def test_gradients_of_the_linearisation(n, given):
    """To the state, the time, arguments of the elements and parameters closed over; as finite differences have them."""
    y, a, c = (
        _rows(n).requires_grad_(),
        _rows(1, seed=1).requires_grad_(),
        torch.tensor(0.3, dtype=F64).requires_grad_(),
    )
    t = torch.tensor(0.4, dtype=F64).requires_grad_()

    def at(y, a, c, t):
        problem = _problem(y, lambda t, y, a: torch.exp(c * t) * a * y**2 + y.flip(1), (a,))
        jacobian = None
        if given:
            swap = torch.eye(n, dtype=F64).flip(0)

            def jacobian(t, y, a):
                return 2 * torch.exp(c * t) * torch.diag_embed(a * y) + swap

        return Jacobians(problem, problem.f, jacobian).linearise(t, y)

    assert torch.autograd.gradcheck(at, (y, a, c, t))


@pytest.mark.parametrize("given", [False, True])
def test_gradients_to_a_state_that_is_all_there_is(given):
    y = _rows(2).requires_grad_()
    problem = _problem(y, lambda t, y: t * y**3)
    jacobian = (lambda t, y: torch.diag_embed(3 * t * y**2)) if given else None
    value, J, slope = Jacobians(problem, problem.f, jacobian).linearise(2.0, y)
    for x, exact in ((value, 6 * y**2), (J, 12 * y), (slope, 3 * y**2)):
        torch.testing.assert_close(torch.autograd.grad(x.sum(), y, retain_graph=True)[0], exact)


def test_what_f_made_of_the_state_is_held_constant():
    y = _rows(3).requires_grad_()
    args = (y * 2,)
    problem = _problem(y, lambda t, y, a: a * y, args)
    J = Jacobians(problem, problem.f)(0.0, y)
    torch.testing.assert_close(J, torch.diag_embed(args[0]))
    (gradient,) = torch.autograd.grad(J.sum(), y)
    torch.testing.assert_close(gradient, torch.full_like(y, 2.0))


def test_gradients_only_where_wanted():
    y, weight = _rows(3), torch.ones(3, dtype=F64, requires_grad=True)
    problem = _problem(y, lambda t, y: weight * y**2)
    jacobians = Jacobians(problem, problem.f)
    assert jacobians(0.0, y).requires_grad
    with torch.no_grad():
        assert not jacobians(0.0, y).requires_grad


def test_a_non_finite_row_leaves_the_others_alone():
    y = _rows(4)
    healthy = y.clone()
    y[1, 2] = torch.nan
    problem = _problem(y, _twist)
    pattern = torch.eye(4).bool() | torch.eye(4).roll(1, 1).bool() | torch.eye(4).roll(-1, 1).bool()
    for jacobians in (Jacobians(problem, problem.f), Jacobians(problem, problem.f, sparsity=pattern)):
        J = jacobians(0.5, y)
        torch.testing.assert_close(J[[0, 2]], jacobians(0.5, healthy)[[0, 2]], rtol=0, atol=0)
        assert J[1].isnan().any()


class TestSparsity:
    def pattern(self, n, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return (torch.rand(n, n, generator=generator) < 2 / n) | torch.eye(n).bool()

    @pytest.mark.parametrize("seed", range(5))
    def test_rows_of_one_colour_share_no_column(self, seed):
        pattern = self.pattern(40, seed)
        colours = colour_rows(pattern)
        for colour in range(int(colours.max()) + 1):
            assert pattern[colours == colour].sum(0).max() <= 1
        assert int(colours.max()) + 1 < 20

    def test_a_band_takes_as_many_products_as_it_is_wide(self):
        band = torch.ones(50, 50).tril(2).triu(-2).bool()
        assert int(colour_rows(band).max()) + 1 == 5

    def test_compressed_is_the_same(self):
        n, calls = 40, []
        pattern = self.pattern(n)
        A = torch.where(pattern, torch.randn(n, n, dtype=F64, generator=torch.Generator().manual_seed(1)), 0.0)
        y = _rows(n)
        problem = _problem(y, lambda t, y: torch.sin(y) @ A.T)
        jacobians = Jacobians(problem, problem.f, sparsity=pattern)
        products = jacobians._products
        jacobians._products = lambda *args: calls.append(len(args[2])) or products(*args)
        for _ in range(2):
            torch.testing.assert_close(jacobians(0.0, y), A * torch.cos(y)[:, None])
        assert calls == [int(colour_rows(pattern).max()) + 1] * 2

    def test_a_belied_sparsity_is_refused(self):
        y = _rows(4)
        problem = _problem(y, lambda t, y: y * y.roll(1, 1))
        with pytest.raises(ValueError, match="others in column 0"):
            Jacobians(problem, problem.f, sparsity=torch.eye(4).bool())(0.0, y)


class TestRefused:
    def test_sparsity_of_another_form(self):
        problem = _problem(_rows(4), _twist)
        with pytest.raises(ValueError, match=r"sparsity: expected a boolean tensor of shape \(4, 4\), found .*float32"):
            Jacobians(problem, problem.f, sparsity=torch.ones(4, 4))

    def test_jacobian_of_another_form(self):
        y = _rows(4)
        problem = _problem(y, _twist)
        with pytest.raises(ValueError, match=r"jacobian: expected .* of shape \(3, 4, 4\), found .*\(4, 4\)"):
            Jacobians(problem, problem.f, lambda t, y: torch.eye(4, dtype=F64))(0.0, y)


def test_given_in_the_form_of_the_user():
    state = {"a": torch.tensor([1.0], dtype=F64), "b": torch.tensor([2.0, 3.0], dtype=F64)}
    problem = _problem(state, lambda t, y: {"a": t * y["b"].sum(0, keepdim=True), "b": y["a"] * y["b"]})

    def jacobian(t, y):
        first = torch.cat([torch.zeros_like(y["a"]), t.expand(2)])
        return torch.cat([first[None], torch.cat([y["b"][:, None], torch.diag(y["a"].expand(2))], 1)])

    given, free = Jacobians(problem, problem.f, jacobian), Jacobians(problem, problem.f)
    torch.testing.assert_close(given(2.0, problem.y0), free(2.0, problem.y0))


class Refusing(torch.autograd.Function):
    """Squares; its backward pass cannot be batched."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, w):
        (x,) = ctx.saved_tensors
        if torch._C._functorch.is_batchedtensor(w):
            raise RuntimeError("not batched")
        return 2 * x * w


def test_backward_passes_that_cannot_be_batched():
    y = _rows(5)
    problem = _problem(y, lambda t, y: Refusing.apply(y))
    torch.testing.assert_close(Jacobians(problem, problem.f)(0.0, y), torch.diag_embed(2 * y))
