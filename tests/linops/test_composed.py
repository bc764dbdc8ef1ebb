import pytest
import torch

from opnet.linops.composed import Product, Scaled, Sum
from opnet.linops.dense import Dense
from opnet.linops.diagonal import Diagonal, Identity


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_signs_and_factors_are_those_of_the_matrices():
    a, b = random(3, 3), random(3, 3, seed=1)
    A, B = Dense(a), Dense(b)
    torch.testing.assert_close((-A).to_dense(), -a)
    torch.testing.assert_close((A - 2 * B).to_dense(), a - 2 * b)
    torch.testing.assert_close((A @ B * 0.5 + Identity(3)).to_dense(), a @ b / 2 + torch.eye(3, dtype=torch.float64))
    assert A.H is not A
    torch.testing.assert_close(((1j * A).H).to_dense(), -1j * a.mT.to(torch.complex128))


def test_a_tensor_scales_each_element_by_its_own_and_gets_a_gradient():
    factor = random(2).requires_grad_()
    A = factor * Dense(random(3, 3))
    assert A.batch_shape == (2,)
    x = random(3, seed=1)
    torch.testing.assert_close(A @ x, factor[:, None] * (A.operator @ x))
    (gradient,) = torch.autograd.grad((A @ x).sum(), factor)
    torch.testing.assert_close(gradient, (A.operator @ x).sum().expand(2))


def test_what_is_symmetric_stays_so():
    D = Diagonal(random(3))
    assert (D + Identity(3)).symmetric
    assert (2 * D).symmetric
    assert not (D + Dense(random(3, 3))).symmetric
    assert not (D @ D).symmetric  # products of symmetric operators need not commute
    assert not (1j * D).hermitian


def test_what_does_not_fit_together_is_refused():
    A = Dense(random(3, 4))
    with pytest.raises(ValueError, match=r"A @ B: expected B to give shape \(4,\)"):
        Product(A, A)
    with pytest.raises(ValueError, match=r"A \+ B: expected equal shapes"):
        Sum(A, A.T)
    with pytest.raises(ValueError, match=r"one dtype and device .* found torch.float64 on cpu and torch.float32"):
        A + A.to(dtype=torch.float32)
    with pytest.raises(ValueError, match=r"Sum: expected batches that broadcast, found \(2,\), \(3,\)"):
        Dense(random(2, 3, 4)) + Dense(random(3, 3, 4))
    with pytest.raises(ValueError, match=r"Scaled: expected batches that broadcast, found \(2,\), \(3,\)"):
        random(3) * Dense(random(2, 3, 4))
    with pytest.raises(ValueError, match=r"Scaled.factor: expected a tensor of torch.float64, found torch.float32"):
        Scaled(A, torch.tensor(2.0))
    with pytest.raises(ValueError, match="expected a complex dtype for a complex operator"):
        Dense(A.matrix * 1j).to(dtype=torch.float32)
