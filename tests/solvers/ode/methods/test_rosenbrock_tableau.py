from itertools import product

import numpy as np
import pytest

from opnet.solvers.ode.methods.rosenbrock_tableau import RODAS4, RODAS5P, RODAS5P_EMBEDDED

TABLEAUX = [RODAS4, RODAS5P]
each = pytest.mark.parametrize("tableau", TABLEAUX, ids=["Rodas4", "Rodas5P"])


def _trees(n):
    """Rooted trees with n nodes, each the sorted tuple of its branches."""

    def sizes(total, largest):
        if total == 0:
            yield ()
        for first in range(min(total, largest), 0, -1):
            for rest in sizes(total - first, first):
                yield (first, *rest)

    return {tuple(sorted(t)) for parts in sizes(n - 1, n - 1) for t in product(*map(_trees, parts))}


def _nodes(tree):
    return 1 + sum(map(_nodes, tree))


def _density(tree):
    return _nodes(tree) * np.prod([_density(branch) for branch in tree])


def _square(rows):
    matrix = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        matrix[i, : len(row)] = row
    return matrix


def _classical(tableau):
    """alpha and Gamma of the stages k_i, u = Gamma k (Hairer and Wanner II, eq. IV.7.23)."""
    gamma = np.linalg.inv(np.eye(tableau.stages) / tableau.gamma - _square(tableau.coupling))
    return _square(tableau.a) @ gamma, gamma


def _residuals(tableau, weights, order, theta=1.0):
    """b^T Phi(tree) - theta^order / density of all trees with `order` nodes.

    Phi multiplies by alpha + Gamma below a node with one branch, and by alpha below one with several (IV.7.15).
    """
    alpha, gamma = _classical(tableau)

    def phi(tree):
        if len(tree) == 1:
            return (alpha + gamma) @ phi(tree[0])
        return np.prod([alpha @ phi(branch) for branch in tree], axis=0) if tree else np.ones(tableau.stages)

    b = np.asarray(weights) @ gamma
    return np.array([b @ phi(tree) - theta**order / _density(tree) for tree in _trees(order)])


def _weights(tableau):
    return np.array([*tableau.a[-1], 1.0])


def test_trees():
    assert [len(_trees(n)) for n in range(1, 7)] == [1, 1, 2, 4, 9, 20]


@each
def test_order_conditions(tableau):
    for order in range(1, tableau.order + 1):
        np.testing.assert_allclose(_residuals(tableau, _weights(tableau), order), 0, atol=1e-14)
    assert abs(_residuals(tableau, _weights(tableau), tableau.order + 1)).max() > 1e-3


@pytest.mark.parametrize(
    ("tableau", "error"),
    [(RODAS4, RODAS4.error), (RODAS5P, RODAS5P.error), (RODAS5P, RODAS5P_EMBEDDED)],
    ids=["Rodas4", "5P", "5Pe"],
)
def test_the_embedded_method_is_one_order_lower(tableau, error):
    embedded = _weights(tableau) - np.array(error)
    for order in range(1, tableau.order):
        np.testing.assert_allclose(_residuals(tableau, embedded, order), 0, atol=1e-14)
    assert abs(_residuals(tableau, embedded, tableau.order)).max() > 1e-3


@each
@pytest.mark.parametrize("theta", [0.2, 0.5, 0.9])
def test_the_continuous_extension(tableau, theta):
    bend = sum(theta**i * np.array(row) for i, row in enumerate(tableau.dense))
    weights = theta * (_weights(tableau) + (1 - theta) * bend)
    for order in range(1, tableau.dense_order + 1):
        np.testing.assert_allclose(_residuals(tableau, weights, order, theta), 0, atol=3e-14)
    assert abs(_residuals(tableau, weights, tableau.dense_order + 1, theta)).max() > 1e-4


@each
def test_times_and_their_weights_are_row_sums(tableau):
    alpha, gamma = _classical(tableau)
    np.testing.assert_allclose(alpha.sum(1), tableau.c, atol=1e-14)
    np.testing.assert_allclose(gamma.sum(1), tableau.d, atol=1e-14)


@each
def test_stable_in_the_left_half_plane_and_at_infinity(tableau):
    alpha, gamma = _classical(tableau)
    beta, b, one = alpha + gamma, _weights(tableau) @ gamma, np.ones(tableau.stages)
    for z in 1j * np.logspace(-2, 4, 200):  # the maximum principle does the rest
        assert abs(1 + z * b @ np.linalg.solve(np.eye(tableau.stages) - z * beta, one)) <= 1 + 1e-12
    assert abs(1 - b @ np.linalg.solve(beta, one)) < 1e-12


@each
def test_the_middle_of_the_step(tableau):
    """Value and slope of the continuous extension, against a difference of it."""

    def weights(theta):
        bend = sum(theta**i * np.array(row) for i, row in enumerate(tableau.dense))
        return theta * (_weights(tableau) + (1 - theta) * bend)

    value, slope = (np.array(row) for row in tableau.middle)
    assert (value[0], slope[0]) == (1.0, 0.0)
    np.testing.assert_allclose(value[1:], weights(0.5), atol=1e-13)
    np.testing.assert_allclose(slope[1:], (weights(0.5 + 1e-4) - weights(0.5 - 1e-4)) / 2e-4, atol=1e-5)
