"""Laws of every linear operator, registered or composed."""

from itertools import product

import pytest
import torch

from opnet.core.registry import lookup, names
from opnet.graphs.runs import Runs, RunSum
from opnet.graphs.stationary import ToeplitzSum
from opnet.graphs.tent import TentSum
from opnet.graphs.tiled_sum import TiledSum
from opnet.linops.block_diagonal import BlockDiagonal
from opnet.linops.composed import Product, Scaled, Sum
from opnet.linops.convolution import Convolution
from opnet.linops.dense import Dense
from opnet.linops.diagonal import Diagonal, Identity
from opnet.linops.diffusion import Diffusion
from opnet.linops.function import FunctionOperator
from opnet.linops.jacobian import Jacobian
from opnet.linops.low_rank import LowRank
from opnet.linops.sparse import CSR
from opnet.linops.spectral import Spectral
from opnet.linops.stencil import Stencil
from opnet.spaces.grid import Grid

MIXED = (("dirichlet", "neumann"), "periodic")


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def wave(*shape, seed=0):
    return random(*shape, seed=seed, dtype=torch.complex128)


def sparse(m, n, *batch, entry=random):
    import scipy.sparse

    A = CSR.from_scipy(scipy.sparse.random(m, n, density=0.4, random_state=0, format="csr"))
    return CSR(A.row_start, A.column_index, entry(*batch, len(A.column_index), seed=3), (m, n))


def diffusion(shape, boundary, *batch, nodes="cell", **options):
    return Diffusion(random(*batch, *shape).exp(), Grid(shape, boundary=boundary, nodes=nodes), **options)


def stencil(shape, periodic, *batch, centre=True, entry=random):
    offsets = [q for q in product((-1, 0, 1), repeat=len(shape)) if centre or any(q)]
    return Stencil({q: entry(*batch, *shape, seed=i) for i, q in enumerate(offsets)}, periodic)


def symmetric_stencil(shape, periodic, *batch):
    offsets = [q for q in product((-1, 0, 1), repeat=len(shape)) if q >= (0,) * len(shape)]
    return Stencil({q: random(*batch, *shape, seed=i) for i, q in enumerate(offsets)}, periodic, symmetric=True)


def periodic(*shape):
    return Grid(shape, boundary="periodic", extent=((0, 1.5),) * len(shape), nodes="cell")


def blend(x, p, q):
    """(..., 4, 3) -> (..., 3), linear in x."""
    return (x * p).sum(-2) - q * x[..., 0, :].flip(-1)


def swirl(x, p):
    """(..., 4) -> (..., 3), not linear."""
    return p[..., :3] * x[..., :3] * x[..., 1:] + x[..., :1].sin()


def in_runs(m):
    """Three rows, the second empty, repeated to m; columns 0 ... 5."""
    row, low, high = torch.tensor([[0, 0, 2, 2], [1, 4, 0, 3], [3, 5, 2, 6]])
    return Runs.union(torch.cat([row, row + 3]), torch.cat([low, low]), torch.cat([high, high]), m)


OPERATORS = {
    "Dense": lambda: Dense(random(4, 6)),
    "Dense square batched": lambda: Dense(random(3, 5, 5)),
    "Dense complex": lambda: Dense(wave(4, 4)),
    "CSR": lambda: sparse(7, 5),
    "CSR square": lambda: sparse(6, 6),
    "CSR batched": lambda: sparse(6, 6, 2, 3),
    "CSR complex": lambda: sparse(5, 6, entry=wave),
    "LowRank": lambda: LowRank(random(4, 2), random(6, 2, seed=1)),
    "LowRank square, with a diagonal": lambda: LowRank(random(6, 2), random(6, 2, seed=1), random(6, seed=2)),
    "LowRank complex": lambda: LowRank(wave(5, 2), wave(5, 2, seed=1), wave(5, seed=2)),
    "TentSum": lambda: TentSum(random(6).sigmoid(), random(6, seed=1), random(6, seed=2)),
    "TentSum without diagonal": lambda: TentSum(random(6).sigmoid(), random(6, seed=1), keep_diagonal=False),
    "RunSum": lambda: RunSum(in_runs(7), random(6), random(7, seed=1)),
    "RunSum square, in another order": lambda: RunSum(
        in_runs(6), random(6), random(6, seed=1), order=torch.tensor([3, 0, 2, 5, 1, 4])
    ),
    "RunSum transposed": lambda: RunSum(in_runs(7), random(6), random(7, seed=1)).T,
    "TiledSum": lambda: TiledSum(lambda x, y: torch.exp(x * y), random(6), random(6, seed=1), random(6, seed=2)),
    "ToeplitzSum": lambda: ToeplitzSum(torch.cos, torch.arange(6).double() / 7, random(6, seed=1), random(6, seed=2)),
    "ToeplitzSum without diagonal": lambda: ToeplitzSum(
        torch.cos, torch.arange(6).double() / 7, random(6, seed=1), keep_diagonal=False
    ),
    "BlockDiagonal": lambda: BlockDiagonal([sparse(6, 6), Dense(random(3, 3)), LowRank(random(2, 1), random(2, 1))]),
    "BlockDiagonal, not square": lambda: BlockDiagonal([Dense(random(2, 3)), Dense(random(4, 2))]),
    "Diagonal": lambda: Diagonal(random(2, 3, 4), axes=2),
    "Diagonal complex": lambda: Diagonal(wave(2, 3)),
    "Identity": lambda: Identity((2, 3)),
    "Diffusion": lambda: diffusion((4, 6), "dirichlet"),
    "Diffusion batched, mixed sides": lambda: diffusion((4, 3), MIXED, 2),
    "Diffusion 1-D": lambda: diffusion((5,), "neumann"),
    "Diffusion 1-D, one periodic cell": lambda: diffusion((1,), "periodic"),
    "Diffusion 3-D": lambda: diffusion((2, 3, 4), ("periodic", "dirichlet", "neumann"), 2),
    "Diffusion on vertices": lambda: diffusion((4, 3), (("dirichlet", "robin"), "neumann"), robin=2.0, nodes="vertex"),
    "Diffusion on vertices, singular": lambda: diffusion((4, 3), ("neumann", "periodic"), nodes="vertex"),
    "Diffusion with reaction": lambda: diffusion((3, 2), "dirichlet", nodes="interior", c=random(2, 3, 2)),
    "Diffusion absorbing": lambda: diffusion((4, 3), ("dirichlet", "robin"), c=-30.0, robin=-1j),
    "Stencil, nine points": lambda: stencil((4, 3), (False, True)),
    "Stencil without centre, periodic axes of 1 and 2": lambda: stencil((1, 2), (True, True), centre=False),
    "Stencil 3-D, batched": lambda: stencil((2, 2, 3), (False, False, True), 2),
    "Stencil symmetric": lambda: symmetric_stencil((4, 3), (False, True), 2),
    "Stencil complex": lambda: stencil((4, 3), (False, True), entry=wave),
    "Spectral": lambda: Spectral(lambda p, q: 1 + 1j * p + q.square(), periodic(4, 5)),
    "Spectral Laplacian": lambda: Spectral.laplacian(periodic(4, 6)),
    "Spectral of values": lambda: Spectral(wave(2, 4, 3), periodic(4, 4)),
    "Spectral of real values": lambda: Spectral(random(2, 3, 4), periodic(3, 6)),
    "Spectral 1-D": lambda: Spectral(wave(1), periodic(1)),
    "Spectral complex": lambda: Spectral(wave(4, 5), periodic(4, 5), dtype=torch.complex128),
    "Spectral Hermitian": lambda: Spectral(random(4, 5), periodic(4, 5), dtype=torch.complex128),
    "Convolution": lambda: Convolution(random(5), (8,)),
    "Convolution longer than its periodic axis": lambda: Convolution(random(2, 7, 3), (4, 5), (True, False)),
    "Convolution complex": lambda: Convolution(wave(3, 5), (4, 4)),
    "FunctionOperator": lambda: FunctionOperator(blend, (4, 3), (3,), tensors=(random(4, 3), random(3, seed=1))),
    "FunctionOperator complex": lambda: FunctionOperator(blend, (4, 3), (3,), tensors=(wave(4, 3), wave(3, seed=1))),
    "FunctionOperator of a constant": lambda: FunctionOperator(lambda x: x.cumsum(-1), (4,)),
    "FunctionOperator batched": lambda: FunctionOperator(
        lambda x, p: p * x.flip(-1), (3,), tensors=(random(2, 3),), batch_shape=(2,)
    ),
    "Jacobian": lambda: Jacobian(swirl, random(4), tensors=(random(4, seed=1),)),
    "Jacobian batched": lambda: Jacobian(swirl, random(2, 4), tensors=(random(4, seed=1),), batch_axes=1),
    "Jacobian complex": lambda: Jacobian(swirl, wave(4), tensors=(wave(4, seed=1),)),
    "Jacobian symmetric": lambda: Jacobian(lambda x: x.square().sum() * x, random(4), symmetric=True),
    "Product": lambda: Product(Dense(random(4, 6)), Dense(random(6, 5))),
    "Sum": lambda: Sum(Dense(random(5, 5)), Dense(random(3, 5, 5))),
    "Sum symmetric": lambda: diffusion((3, 2), "dirichlet") + Diagonal(random(3, 2), axes=2),
    "Difference": lambda: sparse(6, 6) - LowRank(random(6, 2), random(6, 2, seed=1)),
    "Scaled": lambda: Scaled(sparse(6, 6), -2.5),
    "Scaled by a batch": lambda: random(3) * diffusion((3, 2), "neumann"),
    "Scaled by complex numbers": lambda: wave(2) * Dense(random(4, 4)) + 2j * Identity(4),
}
KNOWS_NO_DIAGONAL = {"Product", *(name for name in OPERATORS if name.startswith(("FunctionOperator", "Jacobian")))}


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


def test_transpose(A):
    x, y = (
        random(*A.batch_shape, *A.in_shape, dtype=A.dtype),
        random(*A.batch_shape, *A.out_shape, seed=1, dtype=A.dtype),
    )
    left, right = dot(A @ x, y, len(A.out_shape)), dot(x, A.T @ y, len(A.in_shape))
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-11)
    assert (A.T.in_shape, A.T.out_shape) == (A.out_shape, A.in_shape)
    assert (A.T.batch_shape, A.T.dtype, A.T.symmetric) == (A.batch_shape, A.dtype, A.symmetric)


def test_adjoint(A):
    x, y = (
        random(*A.batch_shape, *A.in_shape, dtype=A.dtype),
        random(*A.batch_shape, *A.out_shape, seed=1, dtype=A.dtype),
    )
    left, right = dot((A @ x).conj(), y, len(A.out_shape)), dot(x.conj(), A.H @ y, len(A.in_shape))
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-11)
    torch.testing.assert_close(A.conj().to_dense(), A.to_dense().conj().resolve_conj())
    assert A.H.dtype == A.dtype


def test_symmetric_or_hermitian_is_what_it_says(A):
    matrix = A.to_dense()
    if A.symmetric:
        torch.testing.assert_close(matrix, matrix.mT)
        assert A.T is A
    if A.hermitian:
        torch.testing.assert_close(matrix, matrix.mH)


def test_nullspace_is_in_the_kernels_of_the_operator_and_its_adjoint(A):
    basis = A.nullspace()
    if basis is None:
        pytest.skip("no kernel known")
    size = A.to_dense().abs().max() + 1
    assert basis.shape[1:] == A.in_shape
    for B in (A, A.H):
        images = torch.stack([B @ element for element in basis])
        assert float(images.abs().max()) <= 1e-14 * float(size)
    gram = basis.flatten(1) @ basis.flatten(1).mH
    torch.testing.assert_close(gram, torch.eye(len(basis), dtype=A.dtype))


def test_rebuilt_of_its_tensors_it_is_the_same_operator(A):
    B = A.rebuild(A.tensors)
    assert type(B) is type(A)
    assert (B.in_shape, B.out_shape, B.batch_shape) == (A.in_shape, A.out_shape, A.batch_shape)
    assert (B.dtype, B.device, B.symmetric) == (A.dtype, A.device, A.symmetric)
    torch.testing.assert_close(B.to_dense(), A.to_dense(), rtol=0, atol=0)
    for own, again in zip(A.tensors, B.tensors, strict=True):
        torch.testing.assert_close(again, own, rtol=0, atol=0)


def test_gradients_to_tensors(A):
    if not A.tensors:
        pytest.skip("depends on no tensor")
    x, y = (random(*shape, dtype=A.dtype) for shape in (A.in_shape, A.out_shape))
    tensors = tuple(t.detach().clone().requires_grad_() for t in A.tensors)

    def images(*tensors):
        B = A.rebuild(tensors)
        return B @ x, B.T @ y

    assert torch.autograd.gradcheck(images, tensors, fast_mode=True)
    assert torch.autograd.gradgradcheck(images, tensors, fast_mode=True)


def test_linear(A):
    x, y = random(2, *A.batch_shape, *A.in_shape, dtype=A.dtype)
    torch.testing.assert_close(A @ (2 * x - 3 * y), 2 * (A @ x) - 3 * (A @ y), rtol=1e-11, atol=1e-11)


def test_dense_form(A):
    matrix = A.to_dense()
    assert matrix.shape == (*A.batch_shape, *A.shape)
    x = random(*A.batch_shape, *A.in_shape, dtype=A.dtype)
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
    x = random(2, *A.batch_shape, *A.in_shape, dtype=A.dtype)
    torch.testing.assert_close(A @ x, torch.stack([A @ x[0], A @ x[1]]), rtol=1e-13, atol=1e-13)


def test_columns_are_applications(A):
    if len(A.in_shape) != 1:
        pytest.skip("not on one axis")
    x = random(2, *A.batch_shape, *A.in_shape, 3, dtype=A.dtype)
    expected = torch.stack([A @ x[..., j] for j in range(3)], -1)
    torch.testing.assert_close(A.columns(x), expected, rtol=1e-13, atol=1e-13)


def test_moved_to_another_precision_it_is_the_same_operator(A):
    single = torch.complex64 if A.dtype.is_complex else torch.float32
    moved = A.to(dtype=single)
    assert (moved.dtype, moved.device, moved.batch_shape) == (single, A.device, A.batch_shape)
    torch.testing.assert_close(moved.to_dense(), A.to_dense().to(single), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(moved.T.to_dense(), A.T.to_dense().to(single), rtol=1e-5, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_moved_to_another_device_it_is_the_same_operator(A):
    moved = A.to("cuda")
    x = random(2, *A.batch_shape, *A.in_shape, dtype=A.dtype)
    assert moved.device.type == (moved @ x.cuda()).device.type == "cuda"
    torch.testing.assert_close((moved @ x.cuda()).cpu(), A @ x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(moved.T.to_dense().cpu(), A.T.to_dense(), rtol=1e-12, atol=1e-12)


def test_gradients(A):
    x = random(2, *A.batch_shape, *A.in_shape, dtype=A.dtype).requires_grad_()
    assert torch.autograd.gradcheck(A.apply, (x,))
    assert torch.autograd.gradgradcheck(A.apply, (x,))


def test_without_gradients_asked_none_are_kept(A):
    x = random(*A.in_shape, dtype=A.dtype)
    assert not (A @ x).requires_grad
    assert not (A.T @ random(*A.out_shape, dtype=A.dtype)).requires_grad


def test_arguments_are_checked(A):
    with pytest.raises(ValueError, match="expected an argument of shape"):
        A @ torch.zeros(*A.in_shape[:-1], A.in_shape[-1] + 1, dtype=A.dtype)
    with pytest.raises(ValueError, match="float32"):
        A @ torch.zeros(*A.in_shape, dtype=torch.float32)


def test_norm_bound_is_below_the_norm_but_not_far(A):
    bound = A.norm_bound()
    if bound is None:
        pytest.skip("knows no bound")
    norm = torch.linalg.matrix_norm(A.to_dense(), 2)
    assert bound.shape == A.batch_shape
    assert bool((bound <= norm * (1 + 1e-12)).all())
    assert bool((bound * 3 ** len(A.in_shape) >= norm).all())


def test_scaling_rows_and_columns_is_what_the_matrix_says(A):
    if len(A.in_shape) != 1 or len(A.out_shape) != 1 or A.batch_shape:
        pytest.skip("operators on one axis, without a batch, scale")
    entry = wave if A.dtype.is_complex else random
    left, right = entry(*A.out_shape, seed=7), entry(*A.in_shape, seed=8)
    expected = left[:, None] * A.to_dense() * right
    torch.testing.assert_close(A.scaled(left, right).to_dense(), expected)
