import pytest
import torch
from marching import problem_of

from opnet.core.errors import SolveError
from opnet.linops.dense import Dense
from opnet.solvers.linear.direct import DirectSolver
from opnet.solvers.linear.gmres import GMRES
from opnet.solvers.linear.surrogate import Surrogate
from opnet.solvers.ode.fields import Field
from opnet.solvers.ode.stage_matrix import Factors, Products

D = torch.float64


def coupled(t, y):
    """On states of (batch, 2, 3)."""
    return torch.sin(y.flip(-1)) * y - t * y[:, :1] ** 2


def setting(shape=(4, 2, 3), dtype=D):
    generator = torch.Generator().manual_seed(3)
    y0 = torch.randn(shape, generator=generator, dtype=D).to(dtype)
    problem = problem_of(Field(coupled), y0)
    mass = (torch.eye(6, dtype=D) + 0.3 * torch.randn(6, 6, generator=generator, dtype=D)).to(dtype)
    J = torch.stack(
        [torch.autograd.functional.jacobian(lambda x: problem.f(0.7, x[None])[0], row) for row in problem.y0]
    )
    r = torch.randn(shape[0], 6, generator=generator, dtype=D).to(dtype)
    return problem, J, mass, r


SIZES = {"number": 0.3, "tensor": torch.tensor(0.3, dtype=D), "rows": torch.tensor([[0.3], [-0.1], [0.0], [1.0]]).to(D)}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("massive", [False, True])
@pytest.mark.parametrize("linear", [None, GMRES(), DirectSolver()], ids=["LU", "GMRES", "Direct"])
def test_it_is_the_inverse_and_its_transpose(size, massive, linear):
    problem, J, mass, r = setting()
    s, M = SIZES[size], mass if massive else None
    column = s[:, :, None] if size == "rows" else s
    W = (mass if massive else torch.eye(6, dtype=D)) - column * J
    ours = Factors(J, s, M) if linear is None else Products(problem, problem.f, 0.7, problem.y0, s, M, linear)
    tolerance = 1e-12 if linear is None else 1e-2  # of a correction; that of the transpose is of a gradient
    torch.testing.assert_close(
        ours.solve(r), torch.linalg.solve(W, r[..., None])[..., 0], rtol=tolerance, atol=tolerance
    )
    back = torch.linalg.solve(W.mT, r[..., None])[..., 0]
    torch.testing.assert_close(ours.solve_transposed(r), back, rtol=1e-8, atol=1e-8)


def test_the_operator_acts_on_elements_of_their_shape_so_that_preconditioners_do():
    problem, J, _, r = setting()
    ours = Products(problem, problem.f, 0.7, problem.y0, 0.3, None, GMRES())
    assert ours.operator.in_shape == (2, 3)
    assert ours.operator.batch_shape == (4,)
    W = torch.eye(6, dtype=D) - 0.3 * J
    torch.testing.assert_close(ours.operator.apply(r.reshape(4, 2, 3)).flatten(1), (W @ r[..., None])[..., 0])


def test_a_singular_row_and_one_with_nan_are_nan_and_alone():
    J = torch.eye(3, dtype=D).repeat(3, 1, 1)
    J[1] *= 2
    J[2, 0, 1] = torch.nan
    r = torch.ones(3, 3, dtype=D)
    x = Factors(J, 0.5, None).solve(r)  # I - J / 2 vanishes in row 1
    assert torch.isfinite(x).all(1).tolist() == [True, False, False]
    assert torch.isnan(x[1]).all()
    torch.testing.assert_close(x[0], torch.full((3,), 2.0, dtype=D))

    problem = problem_of(Field(lambda t, y: y * torch.tensor([[1.0], [2.0], [torch.nan]], dtype=D)), r)
    x = Products(problem, problem.f, 0.0, problem.y0, 0.5, None, GMRES()).solve(r)
    assert torch.isnan(x).any(1).tolist() == [False, True, True]
    torch.testing.assert_close(x[0], torch.full((3,), 2.0, dtype=D))


def test_a_gradient_that_is_not_found_is_an_error():
    problem = problem_of(Field(lambda t, y: 2 * y), torch.ones(1, 2, dtype=D))
    singular = Products(problem, problem.f, 0.0, problem.y0, 0.5, None, GMRES())
    with pytest.raises(SolveError):
        singular.solve_transposed(torch.ones(1, 2, dtype=D))


def test_a_surrogate_preconditions():
    n = 60
    lap = torch.diag(torch.full((n,), -2.0, dtype=D)) + torch.diag(torch.ones(n - 1, dtype=D), 1)
    lap = (lap + torch.diag(torch.ones(n - 1, dtype=D), -1)) * 400
    y0 = torch.linspace(0, 1, 2 * n, dtype=D).reshape(2, n)
    problem = problem_of(Field(lambda t, y: y @ lap + 0.1 * y**2), y0)
    near = Surrogate(Dense(torch.eye(n, dtype=D) - 0.1 * lap), DirectSolver())
    with_it = Products(problem, problem.f, 0.0, problem.y0, 0.1, None, GMRES(preconditioner=near))
    without = Products(problem, problem.f, 0.0, problem.y0, 0.1, None, GMRES())
    counts = []
    for matrix in (with_it, without):
        b = torch.ones(2, n, dtype=D)
        _, monitor = matrix.state.iterate(b, torch.zeros_like(b), torch.full((2,), 1e-6, dtype=D), 500)
        counts.append(monitor.taken)
    assert counts[0] <= 3 < counts[1]
