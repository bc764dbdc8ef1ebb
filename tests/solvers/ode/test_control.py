from math import inf

import pytest
import torch

from opnet.solvers.ode.control import PID
from opnet.solvers.ode.methods.explicit import Dopri5
from opnet.solvers.ode.solve import solve_ode

F64 = torch.float64
CONTROLS = [PID(), PID(0.4, 0.3), PID(0.1, 0.3, 0.05), PID(safety=0.8, shrink=0.5, grow=2.0)]


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
def test_ratio_by_the_formula(control):
    q, e, before = 5, 0.3, (0.5, 0.9)
    p, i, d = control.p, control.i, control.d
    expected = control.safety * e ** (-(p + i + d) / q) * before[0] ** ((p + 2 * d) / q) * before[1] ** (-d / q)
    assert control.ratio(q, e, before, control.grow) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
def test_number_and_tensor_agree(control):
    e = torch.tensor([0.0, 1e-14, 1e-3, 0.5, 1.0, 1.5, 100.0, 1e9, inf], dtype=F64)[:, None]
    before = torch.tensor([0.7, 0.2], dtype=F64).expand(len(e), 2)
    for limit in (1.0, control.grow):
        limits = torch.where(e <= 1, limit, 1.0)
        ours = control.ratios(5, e, before, limits)[:, 0]
        theirs = [control.ratio(5, float(x), (0.7, 0.2), limit) for x in e]
        torch.testing.assert_close(ours, torch.tensor(theirs, dtype=F64), rtol=1e-12, atol=0)
        assert (ours >= control.shrink).all()
        assert (ours <= max(limit, 1)).all()


def test_not_a_number_shrinks_the_step():
    assert PID().ratio(5, float("nan"), (1.0, 1.0), 10.0) == 0.2


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
@pytest.mark.parametrize("joint", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_all_gains_meet_the_tolerance(control, joint):
    from dataclasses import replace

    def f(t, y):
        return torch.stack([y[:, 1], 3 * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]], 1)

    y0 = torch.tensor([[2.0, 0.0], [1.0, 1.0]], dtype=F64)
    ts = torch.tensor([0.0, 6.0], dtype=F64)
    fine = solve_ode(f, y0, ts, rtol=1e-11, atol=1e-13).ys
    sol = solve_ode(f, y0, ts, Dopri5(), control=replace(control, joint=joint), rtol=1e-6, atol=1e-8)
    assert float((sol.ys - fine).abs().max()) < 2e-4
    assert sol.steps.max() < 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"safety": 0.0}, "expected 0 < safety <= 1"),
        ({"shrink": 1.0}, "shrink < 1 < grow"),
        ({"grow": 0.9}, "shrink < 1 < grow"),
        ({"i": 0.0}, "gains of positive sum"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        PID(**arguments)
