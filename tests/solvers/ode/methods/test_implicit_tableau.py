"""Order conditions, of the implicit part, of the explicit one, and of all trees that couple the two."""

import numpy as np
import pytest

from opnet.solvers.ode.methods import implicit_tableau as tableaux

TABLEAUX = {name: getattr(tableaux, name) for name in ("KVAERNO3", "KVAERNO5", "ARK3", "ARK4")}


def matrices(tableau):
    """A of each part, full."""
    s = tableau.stages
    parts = []
    for rows, diagonal in ((tableau.a, tableau.gamma), (tableau.explicit, 0.0)):
        if rows:
            A = np.zeros((s, s))
            for i, row in enumerate(rows):
                A[i, :i] = row
                A[i, i] = diagonal if i else 0.0
            parts.append(A)
    return parts


def trees(order, colours):
    """Rooted trees whose branches have colours, as sorted tuples of (colour, subtree)."""
    if order == 1:
        return [()]
    found = set()
    for sizes in partitions(order - 1):
        found |= {
            tuple(sorted(children))
            for children in product_of([[(c, t) for c in range(colours) for t in trees(n, colours)] for n in sizes])
        }
    return sorted(found)


def partitions(n, largest=None):
    largest = n if largest is None else largest
    if n == 0:
        yield ()
    for first in range(min(n, largest), 0, -1):
        for rest in partitions(n - first, first):
            yield (first, *rest)


def product_of(choices):
    if not choices:
        return [()]
    return [(head, *tail) for head in choices[0] for tail in product_of(choices[1:])]


def size(tree):
    return 1 + sum(size(child) for _, child in tree)


def density(tree):
    result = size(tree)
    for _, child in tree:
        result *= density(child)
    return result


def weight(tree, parts):
    """The elementary weights of the stages."""
    result = np.ones(len(parts[0]))
    for colour, child in tree:
        result = result * (parts[colour] @ weight(child, parts))
    return result


def test_there_are_as_many_trees_as_there_should_be():
    assert [len(trees(n, 1)) for n in range(1, 7)] == [1, 1, 2, 4, 9, 20]
    # With two colours: of n nodes with coloured roots 2, 7, 26, 107, ... in all, half of each with a given root.
    assert [len(trees(n, 2)) for n in range(1, 5)] == [1, 2, 7, 26]


@pytest.mark.parametrize("name", TABLEAUX)
@pytest.mark.parametrize("embedded", [False, True])
def test_order_and_coupling_conditions(name, embedded):
    tableau = TABLEAUX[name]
    parts = matrices(tableau)
    b = np.array(tableau.b) - (np.array(tableau.error) if embedded else 0.0)
    order = tableau.order - embedded

    def defect(n):
        return max(abs(b @ weight(tree, parts) - 1 / density(tree)) for tree in trees(n, len(parts)))

    for n in range(1, order + 1):
        assert defect(n) < 2e-13, n
    assert defect(order + 1) > 1e-4


@pytest.mark.parametrize("name", TABLEAUX)
def test_stages_are_of_second_order_and_consistent(name):
    tableau = TABLEAUX[name]
    c = np.array(tableau.c)
    for A in matrices(tableau):
        np.testing.assert_allclose(A.sum(1), c, atol=2e-13)
    A = matrices(tableau)[0]
    np.testing.assert_allclose((A @ c)[1:], (c**2 / 2)[1:], atol=2e-13)
    np.testing.assert_allclose(A[-1], tableau.b, atol=0)


@pytest.mark.parametrize("name", TABLEAUX)
def test_the_implicit_part_is_l_stable(name):
    tableau = TABLEAUX[name]
    A, b = matrices(tableau)[0], np.array(tableau.b)
    one = np.ones(tableau.stages)

    def R(z):
        return 1 + z * b @ np.linalg.solve(np.eye(tableau.stages) - z * A, one)

    assert max(abs(R(1j * y)) for y in np.logspace(-3, 6, 500)) <= 1 + 1e-9
    assert abs(R(-1e9)) < 1e-6


@pytest.mark.parametrize("name", TABLEAUX)
def test_predictors_are_exact_for_polynomials(name):
    tableau = TABLEAUX[name]
    for i, (weights, time) in enumerate(zip(tableau.predictors, tableau.c, strict=True)):
        assert len(weights) == i
        for degree in range(min(i, 3)):
            value = sum(w * c**degree for w, c in zip(weights, tableau.c[: len(weights)], strict=True))
            assert abs(value - time**degree) < 1e-13
