"""Laws of every linear operator, registered or composed."""

from itertools import product

import pytest
import torch

from opnet.core.registry import lookup, names
from opnet.graphs.tent import TentSum
from opnet.linops.composed import Product, Scaled, Sum
from opnet.linops.dense import Dense
from opnet.linops.diffusion import Diffusion
from opnet.linops.low_rank import LowRank
from opnet.linops.sparse import CSR
from opnet.linops.stencil import Stencil
from opnet.spaces.grid import Grid

MIXED = (("dirichlet", "neumann"), "periodic")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sparse(m, n):
    import scipy.sparse

    return CSR.from_scipy(scipy.sparse.random(m, n, density=0.4, random_state=0, format="csr"))


def diffusion(shape, boundary, *batch):
    return Diffusion(random(*batch, *shape).exp(), Grid(shape, boundary=boundary, nodes="cell"))


def stencil(shape, periodic, *batch, centre=True):
    offsets = [q for q in product((-1, 0, 1), repeat=len(shape)) if centre or any(q)]
    return Stencil({q: random(*batch, *shape, seed=i) for i, q in enumerate(offsets)}, periodic)


OPERATORS = {
    "Dense": lambda: Dense(random(4, 6)),
    "Dense square batched": lambda: Dense(random(3, 5, 5)),
    "CSR": lambda: sparse(7, 5),
    "CSR square": lambda: sparse(6, 6),
    "LowRank": lambda: LowRank(random(4, 2), random(6, 2, seed=1)),
    "LowRank square, with a diagonal": lambda: LowRank(random(6, 2), random(6, 2, seed=1), random(6, seed=2)),
    "TentSum": lambda: TentSum(random(6).sigmoid(), random(6, seed=1), random(6, seed=2)),
    "TentSum without diagonal": lambda: TentSum(random(6).sigmoid(), random(6, seed=1), keep_diagonal=False),
    "Diffusion": lambda: diffusion((4, 6), "dirichlet"),
    "Diffusion batched, mixed sides": lambda: diffusion((4, 3), MIXED, 2),
    "Diffusion 1-D": lambda: diffusion((5,), "neumann"),
    "Diffusion 1-D, one periodic cell": lambda: diffusion((1,), "periodic"),
    "Diffusion 3-D": lambda: diffusion((2, 3, 4), ("periodic", "dirichlet", "neumann"), 2),
    "Stencil, nine points": lambda: stencil((4, 3), (False, True)),
    "Stencil without centre, periodic axes of 1 and 2": lambda: stencil((1, 2), (True, True), centre=False),
    "Stencil 3-D, batched": lambda: stencil((2, 3, 4), (False, False, True), 2),
    "Product": lambda: Product(Dense(random(4, 6)), Dense(random(6, 5))),
    "Sum": lambda: Sum(Dense(random(5, 5)), Dense(random(3, 5, 5))),
    "Scaled": lambda: Scaled(sparse(6, 6), -2.5),
}
KNOWS_NO_DIAGONAL = {"Product"}


@pytest.fixture(params=OPERATORS)
def A(request):
    operator = OPERATORS[request.param]()
    operator.knows_diagonal = request.param not in KNOWS_NO_DIAGONAL
    return operator


def test_every_registered_operator_is_tested():
    tested = {type(make()) for make in OPERATORS.values()}
    assert {lookup("operator", name) for name in names("operator")} <= tested


def dot(x, y, dims):
    return (x * y).sum(tuple(range(-dims, 0)))


def test_adjoint(A):
    x, y = random(*A.batch_shape, *A.in_shape), random(*A.batch_shape, *A.out_shape, seed=1)
    left, right = dot(A @ x, y, len(A.out_shape)), dot(x, A.T @ y, len(A.in_shape))
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)
    assert (A.T.in_shape, A.T.out_shape) == (A.out_shape, A.in_shape)


def test_linear(A):
    x, y = random(2, *A.batch_shape, *A.in_shape)
    torch.testing.assert_close(A @ (2 * x - 3 * y), 2 * (A @ x) - 3 * (A @ y), rtol=1e-11, atol=1e-11)


def test_dense_form(A):
    matrix = A.to_dense()
    assert matrix.shape == (*A.batch_shape, *A.shape)
    x = random(*A.batch_shape, *A.in_shape)
    flat = (matrix @ x.reshape(*A.batch_shape, -1, 1)).reshape(*A.batch_shape, *A.out_shape)
    torch.testing.assert_close(A @ x, flat, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(A.T.to_dense(), matrix.mT)


def test_diagonal(A):
    if A.shape[0] != A.shape[1]:
        pytest.skip("not square")
    if not A.knows_diagonal:
        with pytest.raises(NotImplementedError, match="diagonal"):
            A.diagonal()
        return
    expected = A.to_dense().diagonal(dim1=-2, dim2=-1).reshape(*A.batch_shape, *A.in_shape)
    torch.testing.assert_close(A.diagonal(), expected, rtol=1e-12, atol=1e-12)


def test_more_batch_dimensions_are_a_loop(A):
    x = random(2, *A.batch_shape, *A.in_shape)
    torch.testing.assert_close(A @ x, torch.stack([A @ x[0], A @ x[1]]), rtol=1e-13, atol=1e-13)


def test_columns_are_applications(A):
    if len(A.in_shape) != 1:
        pytest.skip("not on one axis")
    x = random(2, *A.batch_shape, *A.in_shape, 3)
    expected = torch.stack([A @ x[..., j] for j in range(3)], -1)
    torch.testing.assert_close(A.columns(x), expected, rtol=1e-13, atol=1e-13)


def test_moved_to_another_precision_it_is_the_same_operator(A):
    moved = A.to(dtype=torch.float32)
    assert (moved.dtype, moved.device, moved.batch_shape) == (torch.float32, A.device, A.batch_shape)
    torch.testing.assert_close(moved.to_dense(), A.to_dense().float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(moved.T.to_dense(), A.T.to_dense().float(), rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_moved_to_another_device_it_is_the_same_operator(A):
    moved = A.to("cuda")
    x = random(2, *A.batch_shape, *A.in_shape)
    assert moved.device.type == (moved @ x.cuda()).device.type == "cuda"
    torch.testing.assert_close((moved @ x.cuda()).cpu(), A @ x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(moved.T.to_dense().cpu(), A.T.to_dense(), rtol=1e-12, atol=1e-12)


def test_gradients(A):
    x = random(2, *A.batch_shape, *A.in_shape).requires_grad_()
    assert torch.autograd.gradcheck(A.apply, (x,))


def test_arguments_are_checked(A):
    with pytest.raises(ValueError, match="expected an argument of shape"):
        A @ torch.zeros(*A.in_shape[:-1], A.in_shape[-1] + 1, dtype=A.dtype)
    with pytest.raises(ValueError, match="float32"):
        A @ torch.zeros(*A.in_shape, dtype=torch.float32)
