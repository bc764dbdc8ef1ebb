from itertools import product

import numpy as np
import pytest
import scipy.sparse.linalg
import torch

from opnet.linops.diffusion import Diffusion
from opnet.spaces.grid import Grid


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assemble(a, h, low, high):
    """The matrix of -(a u')' on cells, from fluxes written out one face at a time."""
    n = len(a)
    matrix = np.zeros((n, n))
    for i in range(n - 1):
        c = 2 * a[i] * a[i + 1] / (a[i] + a[i + 1]) / h**2
        matrix[i, i] += c
        matrix[i + 1, i + 1] += c
        matrix[i, i + 1] -= c
        matrix[i + 1, i] -= c
    matrix[0, 0] += 2 * a[0] / h**2 if low == "dirichlet" else 0
    matrix[-1, -1] += 2 * a[-1] / h**2 if high == "dirichlet" else 0
    return matrix


@pytest.mark.parametrize("sides", [("dirichlet", "dirichlet"), ("neumann", "dirichlet"), ("neumann", "neumann")])
def test_matrix_is_the_sum_of_face_fluxes(sides):
    a = torch.tensor([1.0, 4.0, 0.5, 2.0, 3.0], dtype=torch.float64)
    grid = Grid((5,), extent=((0, 2),), boundary=(sides,), nodes="cell")
    A, expected = Diffusion(a, grid), assemble(a.numpy(), 0.4, *sides)
    np.testing.assert_allclose(A.to_dense().numpy(), expected, rtol=1e-14)
    np.testing.assert_allclose(A.to_scipy().toarray(), expected, rtol=1e-14)
    np.testing.assert_allclose(A.stencil().to_dense().numpy(), expected, rtol=1e-14)


def test_matrix_on_vertices_is_weighted_by_control_volumes():
    """u = 0 on the left, half a control volume with a u' + 3 u on the right; h = 1/2, arithmetic means."""
    a = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    A = Diffusion(a, Grid((3,), boundary=(("dirichlet", "robin"),)), c=5.0, faces="arithmetic", robin=3.0)
    assert A.to_dense().tolist() == [[6, 0, 0], [0, 6 + 12 + 5, -12], [0, -12, 12 + 6 + 2.5]]
    b = A.right_hand_side(torch.tensor([7.0, 8.0, 10.0], dtype=torch.float64), {(0, 0): 2.0, (0, 1): 0.5})
    assert b.tolist() == [12, 8 + 12, 5 + 1]


def test_interior_nodes_take_the_coefficient_on_the_boundary():
    grid, a = Grid((3,), nodes="interior"), torch.tensor([1.0, 3.0, 5.0, 1.0, 3.0], dtype=torch.float64)
    c = 16 * (a[1:] + a[:-1]) / 2
    expected = torch.diag(c[:-1] + c[1:]) - torch.diag(c[1:-1], 1) - torch.diag(c[1:-1], -1)
    torch.testing.assert_close(Diffusion(a, grid, faces="arithmetic").to_dense(), expected)
    copied = torch.tensor([3.0, 3.0, 5.0, 1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(Diffusion(a[1:-1], grid).to_dense(), Diffusion(copied, grid).to_dense())
    square = Grid((3, 2), nodes=("interior", "cell"))
    two = random(2, 5, 2).exp()
    torch.testing.assert_close(
        Diffusion(two, square).faces[1], Diffusion(two[:, 1:-1], square).faces[1], rtol=1e-15, atol=0
    )


EXTENT = ((0.0, 1.0), (0.0, 1.5), (-0.5, 0.5))


def turns(x):
    """2 pi times the coordinates in lengths of the box."""
    return [2 * torch.pi * xi / (high - low) for xi, (low, high) in zip(x, EXTENT, strict=False)]


def u_of(x, periodic):
    waves = [
        torch.exp(torch.sin(turn)) if wraps else torch.sin(1.3 * xi + 0.4 + i)
        for i, (xi, turn, wraps) in enumerate(zip(x, turns(x), periodic, strict=True))
    ]
    return torch.stack(waves).prod(0)


def a_of(x, axis=0):
    return 2 + 0.8 * torch.cos(torch.stack(turns(x)) + axis).prod(0)


def c_of(x):
    return 1 + x[0].square()


def flux(x, axis, periodic, tensor):
    """a du/dx along one axis, at any points."""
    (slope,) = torch.autograd.grad(u_of(x, periodic).sum(), x, create_graph=True)
    return a_of(x, axis if tensor else 0) * slope[axis]


def points_of_side(grid, axis, side):
    axes = [grid.axis(i) for i in range(grid.dim)]
    axes[axis] = torch.tensor([grid.extent[axis][side]], dtype=torch.float64)
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).squeeze(1 + axis).requires_grad_()


def error(grid, *, tensor=False, faces="harmonic", react=True, beta=0.7):
    """Root mean square of u - u_h for manufactured u, a, c and data on every side."""
    periodic = [low == "periodic" for low, _ in grid.boundary]
    x = grid.coordinates().requires_grad_()
    f = torch.zeros(grid.shape, dtype=torch.float64)
    for axis in range(grid.dim):
        f = f - torch.autograd.grad(flux(x, axis, periodic, tensor).sum(), x)[0][axis]
    x = x.detach()
    u, data = u_of(x, periodic), {}
    for axis, side in product(range(grid.dim), (0, 1)):
        kind, points = grid.boundary[axis][side], points_of_side(grid, axis, side)
        if kind == "dirichlet":
            data[axis, side] = u_of(points, periodic).detach()
        elif kind != "periodic":
            g = (1 if side else -1) * flux(points, axis, periodic, tensor)
            data[axis, side] = (g + (beta * u_of(points, periodic) if kind == "robin" else 0)).detach()
    a = [a_of(x, axis) for axis in range(grid.dim)] if tensor else a_of(x)
    robin = beta if any("robin" in pair for pair in grid.boundary) else None
    A = Diffusion(a, grid, c=c_of(x) if react else None, faces=faces, robin=robin)
    b = A.right_hand_side(f + c_of(x) * u if react else f, data)
    if A.singular:
        b = b - b.mean()
    found, info = scipy.sparse.linalg.cg(A.to_scipy(), b.flatten().numpy(), rtol=1e-11, maxiter=5000)
    assert info == 0
    difference = torch.from_numpy(found).reshape(grid.shape) - u
    difference = difference - difference.mean() if A.singular else difference
    return float(difference.square().mean().sqrt())


KINDS = {
    "cell dirichlet": ("cell", "dirichlet"),
    "cell neumann": ("cell", "neumann"),
    "cell robin": ("cell", "robin"),
    "cell robin to dirichlet": ("cell", ("robin", "dirichlet")),
    "cell periodic": ("cell", "periodic"),
    "vertex dirichlet": ("vertex", "dirichlet"),
    "vertex neumann": ("vertex", "neumann"),
    "vertex robin": ("vertex", "robin"),
    "vertex robin to dirichlet": ("vertex", ("robin", "dirichlet")),
    "vertex neumann to robin": ("vertex", ("neumann", "robin")),
    "interior dirichlet": ("interior", "dirichlet"),
    "left periodic": ("left", "periodic"),
}


def order(sizes, boundary, nodes, **options):
    shapes = [tuple(n + (kind == "vertex") for kind in nodes) for n in sizes]
    grids = [Grid(shape, extent=EXTENT[: len(shape)], boundary=boundary, nodes=nodes) for shape in shapes]
    errors = [error(grid, **options) for grid in grids]
    return float(np.log2(errors[-2] / errors[-1]))


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_second_order_on_every_side_and_placement(kind, dim):
    nodes, sides = KINDS[kind]
    sizes = {1: (32, 64), 2: (24, 48), 3: (12, 24)}[dim]
    assert order(sizes, (sides,) * dim, (nodes,) * dim) == pytest.approx(2, abs=0.2)


MIXTURES = {
    "robin cells, dirichlet vertices": (("robin", "dirichlet"), ("cell", "vertex")),
    "interior, neumann vertices": (("dirichlet", "neumann"), ("interior", "vertex")),
    "left, robin vertices": (("periodic", ("robin", "dirichlet")), ("left", "vertex")),
    "dirichlet vertices, robin vertices": ((("dirichlet", "robin"), "robin"), ("vertex", "vertex")),
}


@pytest.mark.parametrize("faces", ["harmonic", "arithmetic"])
@pytest.mark.parametrize("mixture", MIXTURES)
def test_second_order_with_a_diagonal_tensor_on_mixed_axes(mixture, faces):
    assert order((24, 48), *MIXTURES[mixture], tensor=True, faces=faces) == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("nodes", ["cell", "vertex"])
def test_second_order_up_to_a_constant_without_anything_that_holds_it(nodes):
    assert order((24, 48), ("neumann", "neumann"), (nodes,) * 2, react=False) == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("nodes", ["cell", "vertex"])
def test_absorbing_sides_let_a_plane_wave_through(nodes):
    """-u'' - k^2 u = 0 with u = 1 on the left and u' - i k u = 0 on the right has u = exp(i k x)."""
    k, errors = 9.0, []
    for n in (64, 128):
        grid = Grid((n,), boundary=(("dirichlet", "robin"),), nodes=nodes)
        A = Diffusion(torch.ones(n, dtype=torch.float64), grid, c=-(k**2), robin=-1j * k)
        assert A.dtype == torch.complex128
        assert A.symmetric
        assert not A.hermitian
        u = scipy.sparse.linalg.spsolve(A.to_scipy(), A.right_hand_side(0.0, {(0, 0): 1.0}).numpy())
        errors.append(np.abs(u - np.exp(1j * k * grid.axis(0).numpy())).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("nodes", ["cell", "vertex"])
def test_robin_is_neumann_without_and_dirichlet_with_infinite_beta(nodes):
    a, grid = random(5, 4).exp(), Grid((5, 4), boundary="robin", nodes=nodes)
    neumann = Diffusion(a, Grid((5, 4), boundary="neumann", nodes=nodes))
    torch.testing.assert_close(Diffusion(a, grid, robin=0.0).to_dense(), neumann.to_dense())
    if nodes == "cell":
        dirichlet = Diffusion(a, Grid((5, 4), nodes=nodes))
        torch.testing.assert_close(Diffusion(a, grid, robin=1e14).to_dense(), dirichlet.to_dense())


def test_dirichlet_vertices_take_their_values_exactly():
    grid = Grid((5, 4), boundary=("dirichlet", "neumann"))
    A = Diffusion(random(3, 5, 4).exp(), grid, c=random(5, 4).exp())
    low, high = random(4, seed=1), random(3, 4, seed=2)
    b = A.right_hand_side(random(5, 4), {(0, 0): low, (0, 1): high})
    u = torch.linalg.solve(A.to_dense(), b.reshape(3, 20, 1)).reshape(3, 5, 4)
    torch.testing.assert_close(u[:, 0], low.expand(3, 4))
    torch.testing.assert_close(u[:, -1], high)


def test_every_field_may_be_batched():
    """Elements of a batch are the operators of the elements."""
    grid = Grid((4, 3), boundary=("robin", ("neumann", "robin")), nodes=("cell", "vertex"))
    a, c, beta = random(2, 4, 3).exp(), random(3, 1, 4, 3), random(3, 1, 4, seed=1).exp()
    sides = {(0, 0): 0.5, (0, 1): torch.tensor(2.0, dtype=torch.float64)}
    A = Diffusion(a, grid, c=c, robin={**sides, (1, 1): beta})
    assert A.batch_shape == (3, 2)
    f, g = random(4, 3), random(3, 2, 4, seed=2)
    b = A.right_hand_side(f, {(1, 1): g})
    for i, j in product(range(3), range(2)):
        alone = Diffusion(a[j], grid, c=c[i, 0], robin={**sides, (1, 1): beta[i, 0]})
        torch.testing.assert_close(A.to_dense()[i, j], alone.to_dense())
        torch.testing.assert_close(b[i, j], alone.right_hand_side(f, {(1, 1): g[i, j]}))


def test_gradients_reach_what_the_user_gave():
    grid = Grid((3, 4), boundary=("robin", ("dirichlet", "neumann")), nodes=("cell", "vertex"))
    inputs = [random(3, 4).exp(), random(3, 4), random(4).exp(), random(3, seed=1)]
    x = random(3, 4, seed=2)

    def image(a, c, beta, g):
        A = Diffusion(a, grid, c=c, robin={(0, 0): beta, (0, 1): 1.0})
        return A.apply(x), A.right_hand_side(1.0, {(0, 0): 2.0, (1, 0): g}), A.diagonal()

    inputs = [t.requires_grad_() for t in inputs]
    assert torch.autograd.gradcheck(image, inputs)
    assert torch.autograd.gradgradcheck(image, inputs)


def test_solution_agrees_with_scipy():
    a = torch.where(random(2, 16, 12) > 0, 12.0, 3.0).double()
    A = Diffusion(a, Grid((16, 12), extent=((0, 1), (0, 3)), boundary=("dirichlet", "periodic"), nodes="cell"))
    b = random(2, 16, 12, seed=1)
    for i, matrix in enumerate(A.to_dense()):
        sparse = Diffusion(a[i], A.grid).to_scipy()
        exact = scipy.sparse.linalg.spsolve(sparse.tocsc(), b[i].flatten().numpy())
        np.testing.assert_allclose(matrix.numpy() @ exact, b[i].flatten().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("faces", ["harmonic", "arithmetic"])
@pytest.mark.parametrize("nodes", ["interior", "left"])
def test_gradients_reach_a_on_every_placement(nodes, faces):
    grid = Grid((3, 4), boundary="dirichlet" if nodes == "interior" else "periodic", nodes=nodes)
    a, x = [random(3, 4).exp().requires_grad_(), random(3, 4, seed=1).exp().requires_grad_()], random(3, 4, seed=2)
    assert torch.autograd.gradcheck(lambda *a: Diffusion(a, grid, faces=faces) @ x, a)
    assert torch.autograd.gradgradcheck(lambda *a: Diffusion(a, grid, faces=faces) @ x, a)


def test_gradients_reach_complex_coefficients():
    grid = Grid((3, 4), boundary=("robin", "dirichlet"), nodes="cell")
    inputs = [random(3, 4).exp(), torch.complex(random(3, 4), random(3, 4, seed=1)), torch.tensor(0.5 - 2j).cdouble()]
    inputs = [t.requires_grad_() for t in inputs]
    x = torch.complex(random(3, 4, seed=2), random(3, 4, seed=3))
    assert torch.autograd.gradcheck(lambda a, c, beta: Diffusion(a, grid, c=c, robin=beta) @ x, inputs)


def test_maximum_principle():
    generator = torch.Generator().manual_seed(1)
    a = 10 ** (4 * torch.rand(8, 8, generator=generator, dtype=torch.float64) - 2)
    inverse = torch.linalg.inv(Diffusion(a, Grid((8, 8), nodes="cell")).to_dense())
    assert bool((inverse > 0).all())  # every non-negative source gives a positive solution


def test_faces_give_the_operator_back():
    grid = Grid((4, 3), boundary=("periodic", "dirichlet"), nodes=("cell", "vertex"))
    A = Diffusion(torch.rand(2, 4, 3, dtype=torch.float64) + 1, grid)
    B = Diffusion.from_faces(A.faces, grid)
    torch.testing.assert_close(B.to_dense(), A.to_dense())
    assert A.to(dtype=torch.float32).dtype == torch.float32
    with pytest.raises(ValueError, match=r"faces\[1\]"):
        Diffusion.from_faces((A.faces[0], A.faces[0]), grid)


def test_only_what_knows_its_coefficient_takes_data_of_sides():
    grid = Grid((4,), boundary="neumann", nodes="cell")
    A = Diffusion(torch.ones(4), grid)
    assert A.to(dtype=torch.float64).right_hand_side(1.0, {(0, 1): 2.0}).tolist() == [1, 1, 1, 9]
    for made_again in (Diffusion.from_faces(A.faces, grid), A.rebuild(A.tensors)):
        assert made_again.right_hand_side(1.0).tolist() == [1, 1, 1, 1]
        with pytest.raises(ValueError, match="made of face coefficients"):
            made_again.right_hand_side(1.0, {(0, 1): 2.0})


@pytest.mark.parametrize("bad", [0.0, -1.0, torch.nan, torch.inf])
def test_coefficients_must_be_positive_and_finite(bad):
    a = torch.ones(2, 4, 4)
    a[1, 2, 3] = bad
    with pytest.raises(ValueError, match="positive finite"):
        Diffusion(a, Grid((4, 4), nodes="cell"))
    with pytest.raises(ValueError, match="positive finite"):
        Diffusion([torch.ones(4, 4), a], Grid((4, 4), nodes="cell"))


CELLS = Grid((4, 4), nodes="cell")
ROBIN = Grid((4, 4), boundary=("robin", "neumann"), nodes="cell")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Diffusion(torch.ones(2, 2, 2, 2), Grid((2, 2, 2, 2), nodes="cell")), "1, 2 or 3 axes"),
        (lambda: Diffusion(torch.ones(4, 5), CELLS), r"floating tensor of shape \(..., 4, 4\), found \(4, 5\)"),
        (lambda: Diffusion(torch.ones(4), CELLS), "expected a floating tensor of shape"),
        (lambda: Diffusion(torch.ones(4, 4, dtype=torch.int64), CELLS), "expected a floating tensor of shape"),
        (lambda: Diffusion([torch.ones(4, 4)], CELLS), "or 2, one an axis, found 1"),
        (lambda: Diffusion(torch.ones(4), Grid((4,), boundary="neumann", nodes="interior")), "dirichlet sides"),
        (lambda: Diffusion(torch.ones(4), Grid((4,), nodes="left")), "expected periodic sides"),
        (lambda: Diffusion(torch.ones(4, 4), CELLS, faces="geometric"), "harmonic, arithmetic, found 'geometric'"),
        (lambda: Diffusion(torch.ones(4, 4), ROBIN), r"expected beta for the Robin sides \[\(0, 0\), \(0, 1\)\]"),
        (lambda: Diffusion(torch.ones(4, 4), ROBIN, robin={(0, 0): 1.0}), r"found \[\(0, 0\)\]"),
        (lambda: Diffusion(torch.ones(4, 4), CELLS, robin=1.0), r"the Robin sides \[\] of the grid, found 1.0"),
        (lambda: Diffusion(torch.ones(4, 4), ROBIN, robin=torch.ones(3)), r"robin\[\(0, 0\)\]: .* found \(3,\)"),
        (lambda: Diffusion(torch.ones(4, 4), CELLS, c=torch.ones(4)), r"Diffusion.c: .* \(..., 4, 4\), found \(4,\)"),
        (lambda: Diffusion(torch.ones(2, 4, 4), CELLS, c=torch.ones(3, 4, 4)), r"batches .* \(2,\), \(2,\), \(3,\)"),
        (lambda: Diffusion(torch.ones(2, 4, 4), ROBIN, robin=torch.ones(3, 4)), "Diffusion: expected batches"),
        (lambda: Diffusion(torch.ones(2, 4, 4), CELLS).right_hand_side(torch.ones(3, 4, 4)), "side: expected batches"),
        (lambda: Diffusion(torch.ones(4, 4), CELLS, c=torch.nan), "expected finite values"),
        (lambda: Diffusion(torch.ones(4, 4), CELLS, c=torch.ones(4, 4).double()), "torch.float32 or torch.complex64"),
        (lambda: Diffusion(torch.ones(4, 4), CELLS).right_hand_side(torch.ones(4)), "right_hand_side: f: expected"),
        (lambda: Diffusion(torch.ones(4, 4), CELLS).right_hand_side(1.0, {(2, 0): 1.0}), r"found \(2, 0\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "options", [{"c": 0.0}, {"c": torch.zeros(6, 6, dtype=torch.float64)}, {"boundary": "robin", "robin": 0.0}]
)
@pytest.mark.parametrize("nodes", ["cell", "vertex"])
def test_zero_reaction_and_zero_beta_hold_nothing(options, nodes):
    options = {"boundary": "neumann", **options}
    grid = Grid((6, 6), boundary=options.pop("boundary"), nodes=nodes)
    A = Diffusion(torch.ones(6, 6, dtype=torch.float64), grid, **options)
    assert A.singular
    torch.testing.assert_close(A @ A.nullspace(), torch.zeros(1, 6, 6, dtype=torch.float64))
