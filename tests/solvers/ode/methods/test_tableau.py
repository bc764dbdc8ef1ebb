from math import factorial, prod

import numpy as np
import pytest

from opnet.solvers.ode.methods.dop853 import ERROR3
from opnet.solvers.ode.methods.dop853 import TABLEAU as DOP853
from opnet.solvers.ode.methods.tableau import BS3, DOPRI5, EULER, HEUN, MIDPOINT, RK4, TSIT5, nested

TABLEAUX = {
    "Euler": EULER,
    "Midpoint": MIDPOINT,
    "Heun": HEUN,
    "RK4": RK4,
    "BS3": BS3,
    "Dopri5": DOPRI5,
    "Tsit5": TSIT5,
    "DOP853": DOP853,
}
PAIRS = {name: tableau for name, tableau in TABLEAUX.items() if tableau.error}
THETAS = (0.13, 0.5, 0.86)


def sprouts(tree):
    """The rooted trees with one more leaf; a tree is the sorted tuple of its branches."""
    yield tuple(sorted((*tree, ())))
    for i, branch in enumerate(tree):
        for sprout in sprouts(branch):
            yield tuple(sorted((*tree[:i], *tree[i + 1 :], sprout)))


def trees_of(order):
    trees = {()}
    for _ in range(order - 1):
        trees = {sprout for tree in trees for sprout in sprouts(tree)}
    return sorted(trees)


def size(tree):
    return 1 + sum(map(size, tree))


def density(tree):
    return size(tree) * prod(map(density, tree))


def matrix(tableau):
    """a of all stages, those of the extension included."""
    rows = [*tableau.a, *(row for row, _ in tableau.dense)]
    return np.array([[*row, *(0.0,) * (len(rows) - len(row))] for row in rows])


def elementary(tree, A):
    """Phi_i of a tree, for all stages."""
    return np.prod([A @ elementary(branch, A) for branch in tree], axis=0) if tree else np.ones(len(A))


def defects(weights, A, order, theta=1.0):
    """sum_i b_i Phi_i(tree) - theta^order / gamma(tree), for all trees of an order."""
    pairs = [(elementary(tree, A), density(tree)) for tree in trees_of(order)]
    return np.array([np.dot(weights, phi[: len(weights)]) - theta**order / gamma for phi, gamma in pairs])


def test_there_are_as_many_rooted_trees_as_there_should_be():
    assert [len(trees_of(n)) for n in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]  # Hairer, Norsett, Wanner I, II.2
    assert density(((), ((),))) == 8
    chain = ()
    for _ in range(4):
        chain = (chain,)
    assert density(chain) == factorial(5)


@pytest.mark.parametrize("name", TABLEAUX)
def test_rows_sum_to_the_stage_times(name):
    tableau = TABLEAUX[name]
    assert len(tableau.a) == len(tableau.b) == len(tableau.c)
    for i, (row, c) in enumerate(zip(tableau.a, tableau.c, strict=True)):
        assert len(row) == i
        assert sum(row) == pytest.approx(c, abs=1e-14)
    for i, (row, _) in enumerate(tableau.dense):
        assert len(row) <= tableau.stages + i


@pytest.mark.parametrize("name", TABLEAUX)
def test_all_order_conditions_hold_up_to_the_order_and_not_beyond(name):
    tableau = TABLEAUX[name]
    A = matrix(tableau)
    for order in range(1, tableau.order + 1):
        np.testing.assert_allclose(defects(tableau.b, A, order), 0, atol=2e-14)
    assert np.abs(defects(tableau.b, A, tableau.order + 1)).max() > 1e-6


@pytest.mark.parametrize("name", PAIRS)
def test_embedded_methods_are_of_the_order_below(name):
    tableau = PAIRS[name]
    assert sum(tableau.error) == pytest.approx(0, abs=1e-15)
    A, embedded = matrix(tableau), np.subtract(tableau.b, tableau.error)
    order = 5 if name == "DOP853" else tableau.order - 1
    for lower in range(1, order + 1):
        np.testing.assert_allclose(defects(embedded, A, lower), 0, atol=2e-14)
    assert np.abs(defects(embedded, A, order + 1)).max() > 1e-6


def test_second_embedded_method_of_dop853_is_of_order_3():
    assert sum(ERROR3) == pytest.approx(0, abs=1e-15)
    A, embedded = matrix(DOP853), np.subtract(DOP853.b, ERROR3)
    for order in range(1, 4):
        np.testing.assert_allclose(defects(embedded, A, order), 0, atol=2e-14)
    assert np.abs(defects(embedded, A, 4)).max() > 1e-6


@pytest.mark.parametrize("name", TABLEAUX)
@pytest.mark.parametrize("theta", THETAS)
def test_continuous_extensions_meet_all_order_conditions(name, theta):
    tableau = TABLEAUX[name]
    A, weights = matrix(tableau), tableau.weights(theta)
    assert len(weights) == len(A)
    for order in range(1, tableau.dense_order + 1):
        np.testing.assert_allclose(defects(weights, A, order, theta), 0, atol=5e-14)
    assert np.abs(defects(weights, A, tableau.dense_order + 1, theta)).max() > 1e-7


def test_dense_orders():
    orders = {name: tableau.dense_order for name, tableau in TABLEAUX.items()}
    assert orders == {"Euler": 1, "Midpoint": 2, "Heun": 2, "RK4": 3, "BS3": 3, "Dopri5": 4, "Tsit5": 4, "DOP853": 7}


@pytest.mark.parametrize("name", TABLEAUX)
def test_continuous_extensions_join_in_value_and_slope(name):
    tableau = TABLEAUX[name]
    count, small = len(matrix(tableau)), 1e-6
    last = tableau.stages - 1 if tableau.first_same_as_last else tableau.stages
    np.testing.assert_allclose(tableau.weights(0.0), 0, atol=1e-15)
    np.testing.assert_allclose(tableau.weights(1.0), np.pad(tableau.b, (0, count - tableau.stages)), atol=1e-15)

    def slope(theta):
        return np.subtract(tableau.weights(theta + small), tableau.weights(theta - small)) / (2 * small)

    np.testing.assert_allclose(slope(0.0), np.eye(count)[0], atol=1e-8)
    np.testing.assert_allclose(slope(1.0), np.eye(count)[last], atol=1e-8)


def test_tsitouras_extension_is_the_published_polynomial():
    t = 0.3  # the first and last weights as they stand in the paper, section 4
    first = -1.0530884977290216 * t * (t - 1.3299890189751412) * (t**2 - 1.4364028541716351 * t + 0.7139816917074209)
    assert TSIT5.weights(t)[0] == pytest.approx(first, abs=1e-14)
    assert TSIT5.weights(t)[-1] == pytest.approx(2.5 * (t - 1) * (t - 0.6) * t**2, abs=1e-14)


def test_last_two_stages_are_of_one_time_only_where_they_say_so():
    assert [name for name, tableau in TABLEAUX.items() if tableau.pair_at_end] == ["Dopri5", "Tsit5", "DOP853"]


def test_nested_terms_alternate():
    t = 0.3
    assert nested(t, (2.0,)) == pytest.approx(2 * t)
    assert nested(t, (2.0, 3.0, 5.0, 7.0)) == pytest.approx(t * (2 + (1 - t) * (3 + t * (5 + (1 - t) * 7))))
