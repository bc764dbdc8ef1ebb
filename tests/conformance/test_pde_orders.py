"""Law of every problem's solver: it approaches exact or manufactured solutions at the order it states."""

import pytest
from pde_orders.all_cases import CASES

from opnet.core.registry import lookup, names
from opnet.solvers.pde.problem import Problem

HELD = [case for case in CASES if case.expected is not None]


def _ids(case):
    return f"{case.problem}: {case.what}"


@pytest.mark.parametrize("case", [case for case in HELD if not case.slow], ids=_ids)
def test_order(case):
    _holds(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in HELD if case.slow], ids=_ids)
def test_order_slowly(case):
    _holds(case)


def _holds(case):
    order, errors = case.measure()
    assert abs(order - case.expected) <= case.tolerance, f"order {order:.2f} from errors {errors} at {case.sizes}"


def test_every_registered_problem_has_an_order_measured():
    problems = {name for name in names("problem") if issubclass(lookup("problem", name), Problem)}
    assert problems == {case.problem for case in CASES if case.problem in problems}
