import numpy as np
import pytest
import torch

from opnet.linops.diffusion import Diffusion
from opnet.solvers.linear.cg import CG
from opnet.solvers.linear.solve import solve_linear
from opnet.spaces.grid import Grid


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
    np.testing.assert_allclose(Diffusion(a, grid).to_dense().numpy(), assemble(a.numpy(), 0.4, *sides), rtol=1e-14)


def test_solution_agrees_with_scipy():
    import scipy.sparse.linalg

    generator = torch.Generator().manual_seed(0)
    a = torch.where(torch.randn(2, 16, 12, generator=generator) > 0, 12.0, 3.0).double()
    A = Diffusion(a, Grid((16, 12), extent=((0, 1), (0, 3)), boundary=("dirichlet", "periodic"), nodes="cell"))
    b = torch.randn(2, 16, 12, generator=generator, dtype=torch.float64)
    ours = solve_linear(A, b, CG(), rtol=1e-12).value
    for i, matrix in enumerate(A.to_dense()):
        exact = scipy.sparse.linalg.spsolve(scipy.sparse.csc_matrix(matrix.numpy()), b[i].flatten().numpy())
        np.testing.assert_allclose(ours[i].flatten().numpy(), exact, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_second_order_on_a_manufactured_solution(dim, boundary):
    """u and a smooth; f = -div(a grad u) by automatic differentiation of the formulas."""
    trigonometric, frequency = (torch.sin, torch.pi) if boundary == "dirichlet" else (torch.cos, torch.pi)
    frequency = 2 * torch.pi if boundary == "periodic" else frequency

    def u_of(x):
        return trigonometric(frequency * x).prod(0)

    def a_of(x):
        return 2 + torch.cos(2 * torch.pi * x).prod(0) * 0.8

    errors = []
    for n in (8, 16, 32):
        grid = Grid((n,) * dim, boundary=boundary, nodes="cell")
        x = grid.coordinates().requires_grad_()
        (slope,) = torch.autograd.grad(u_of(x).sum(), x, create_graph=True)
        flux = a_of(x) * slope
        f = -sum(torch.autograd.grad(flux[i].sum(), x, retain_graph=True)[0][i] for i in range(dim))
        x = x.detach()
        A = Diffusion(a_of(x), grid)
        f = f - f.mean() if A.singular else f
        u = solve_linear(A, f, CG(), rtol=1e-11).value
        u = u - (u - u_of(x)).mean() if A.singular else u
        errors.append(float((u - u_of(x)).square().mean().sqrt()))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders[-1] == pytest.approx(2, abs=0.2)


def test_maximum_principle():
    generator = torch.Generator().manual_seed(1)
    a = 10 ** (4 * torch.rand(8, 8, generator=generator, dtype=torch.float64) - 2)
    inverse = torch.linalg.inv(Diffusion(a, Grid((8, 8), nodes="cell")).to_dense())
    assert bool((inverse > 0).all())  # every non-negative source gives a positive solution


def test_faces_give_the_operator_back():
    grid = Grid((4, 3), boundary=("periodic", "dirichlet"), nodes="cell")
    A = Diffusion(torch.rand(2, 4, 3, dtype=torch.float64) + 1, grid)
    torch.testing.assert_close(Diffusion.from_faces(A.faces, grid).to_dense(), A.to_dense())
    assert A.to(dtype=torch.float32).dtype == torch.float32
    with pytest.raises(ValueError, match=r"faces\[1\]"):
        Diffusion.from_faces((A.faces[0], A.faces[0]), grid)


@pytest.mark.parametrize("bad", [0.0, -1.0, torch.nan, torch.inf])
def test_coefficients_must_be_positive_and_finite(bad):
    a = torch.ones(2, 4, 4)
    a[1, 2, 3] = bad
    with pytest.raises(ValueError, match="positive finite"):
        Diffusion(a, Grid((4, 4), nodes="cell"))


def test_what_is_not_built_is_refused():
    with pytest.raises(ValueError, match="not built yet"):
        Diffusion(torch.ones(4, 4), Grid((4, 4), nodes="vertex"))
    with pytest.raises(ValueError, match="not built yet"):
        Diffusion(torch.ones(4), Grid((4,), boundary="robin", nodes="cell"))
    with pytest.raises(ValueError, match="1, 2 or 3 axes"):
        Diffusion(torch.ones(2, 2, 2, 2), Grid((2, 2, 2, 2), nodes="cell"))
    with pytest.raises(ValueError, match="expected a floating tensor of shape"):
        Diffusion(torch.ones(4, 5), Grid((4, 4), nodes="cell"))
