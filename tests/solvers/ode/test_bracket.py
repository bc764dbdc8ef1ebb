import math

import pytest
import torch

from opnet.solvers.ode.bracket import behind_root

F64 = torch.float64
FUNCTIONS = {
    "linear": (lambda x: x - 0.3, 0.3),
    "falling": (lambda x: 0.7 - x, 0.7),
    "cubic": (lambda x: (x - 0.21) ** 3, 0.21),
    "steep": (lambda x: torch.expm1(40 * (x - 0.9)), 0.9),
    "jump": (lambda x: torch.where(x < 0.4, -1e9, 1.0), 0.4),
    "pole": (lambda x: 1 / (x - 0.6), 0.6),
    "at the end": (lambda x: x - 1, 1.0),
}


@pytest.mark.parametrize("width", [1e-15, 1e-3])
def test_roots_are_bracketed_in_at_most_one_evaluation_more_than_by_bisection(width):
    functions, exact = zip(*FUNCTIONS.values(), strict=True)
    calls = 0

    def g(x):
        nonlocal calls
        calls += 1
        return torch.stack([f(x[i]) for i, f in enumerate(functions)])

    zero, one = torch.zeros(len(functions), dtype=F64), torch.ones(len(functions), dtype=F64)
    g0, g1 = g(zero), g(one)
    calls = 0
    found = behind_root(g, zero, one, g0, g1, width * one)
    behind = found - torch.tensor(exact, dtype=F64)
    assert (behind <= width + 1e-15).all()
    assert (behind >= -1e-15).all()
    values = g(found)
    assert ((values == 0) | (values.sign() == g1.sign()) | (g1 == 0)).all()
    evaluations = calls - 1
    assert evaluations <= math.ceil(math.log2(1 / width)) + 2  # one of them for rounding


def test_smooth_roots_take_few_evaluations():
    calls = 0

    def g(x):
        nonlocal calls
        calls += 1
        return torch.cos(x) - x**3

    a, b = torch.zeros(1, dtype=F64), torch.ones(1, dtype=F64)
    found = behind_root(g, a, b, g(a), g(b), torch.full_like(a, 1e-15))
    assert abs(float(found) - 0.86547403310161445) < 2e-15
    assert calls <= 12


def test_a_nan_on_the_way_is_the_answer_of_that_function_alone():
    def g(x):
        return torch.stack([x[0] - 0.3, torch.where((x[1] > 0.1) & (x[1] < 0.9), torch.nan, x[1] - 0.5)])

    a, b = torch.zeros(2, dtype=F64), torch.ones(2, dtype=F64)
    found = behind_root(g, a, b, g(a), g(b), torch.full_like(a, 1e-14))
    assert abs(float(found[0]) - 0.3) < 1e-13
    assert found[1].isnan()


def test_an_empty_bracket_is_its_own_root():
    one = torch.ones(1, dtype=F64)
    assert behind_root(lambda x: x / 0, one, one, one, one, one) == 1
