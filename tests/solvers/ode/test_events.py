from dataclasses import dataclass

import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.status import Status
from opnet.solvers.ode import per_sample
from opnet.solvers.ode.adjoint import Adjoint, Direct
from opnet.solvers.ode.control import PID
from opnet.solvers.ode.events import Event
from opnet.solvers.ode.fields import Field
from opnet.solvers.ode.methods.dop853 import DOP853
from opnet.solvers.ode.methods.explicit import BS3, RK4, Dopri5, Euler, Tsit5
from opnet.solvers.ode.solve import solve_ode

F64 = torch.float64
nan = float("nan")
LOOPS = {
    "per sample": {},
    "joint": {"control": PID(joint=True)},
    "equal steps": {"method": RK4(), "step": 0.05},
}
TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def times(*values):
    return torch.tensor(values, dtype=F64)


def flight(t, y):
    """Height and velocity under gravity of 10 m/s^2."""
    return torch.stack([y[..., 1], torch.full_like(y[..., 0], -10.0)], -1)


def landing(y0):
    return (y0[:, 1] + (y0[:, 1] ** 2 + 20 * y0[:, 0]).sqrt()) / 10


def ground(t, y, *args):
    return y[:, 0]


BALLS = torch.tensor([[0.0, 10.0], [5.0, 0.0], [1.0, 3.0], [0.0, 1.0], [2.0, -3.0]], dtype=F64)


def circle(t, y):
    """y = (cos t, -sin t)."""
    return torch.stack([y[..., 1], -y[..., 0]], -1)


class TestTerminal:
    @pytest.mark.parametrize("method", [BS3(), Dopri5(), Tsit5(), DOP853(), RK4()], ids=repr)
    @pytest.mark.parametrize("joint", [False, True])
    @pytest.mark.parametrize("dtype", [torch.float32, F64])
    def test_each_element_ends_at_its_own_root(self, method, joint, dtype):
        y0, ts = BALLS.to(dtype), times(0, 0.5, 1.1, 60)
        step = 0.05 if method == RK4() else None
        event = Event(ground, direction=-1)
        sol = solve_ode(flight, y0, ts, method, step=step, events=(event,), control=PID(joint=joint))
        exact = landing(BALLS)
        found = sol.events[0]
        tolerance = 1e-12 if dtype == F64 else 2e-5
        torch.testing.assert_close(found.times[:, 0], exact, rtol=tolerance, atol=tolerance)
        assert torch.equal(sol.reached, found.times[:, 0])
        assert found.count.tolist() == [1] * 5
        assert sol.status.tolist() == [0] * 5
        assert found.states.shape == (1, 5, 2)
        assert found.states.dtype == dtype
        torch.testing.assert_close(found.states[0, :, 0].double(), 0 * exact, rtol=0, atol=10 * tolerance)
        torch.testing.assert_close(
            found.states[0, :, 1].double(), BALLS[:, 1] - 10 * exact, rtol=tolerance, atol=10 * tolerance
        )
        for i, t in enumerate(ts):
            assert torch.equal(sol.ys[i].isfinite().all(1), t <= exact)
        torch.testing.assert_close(sol.ys[1, 0].double(), times(3.75, 5.0), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("loop", LOOPS)
    def test_the_others_are_as_without_it(self, loop):
        y0 = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.5, 0.3]], dtype=F64)
        event = Event(lambda t, y: y[:, 0] - 1.5)
        with_it = solve_ode(circle, y0, times(0, 1, 5), events=(event,), **LOOPS[loop])
        without = solve_ode(circle, y0[::2], times(0, 1, 5), **LOOPS[loop])
        assert with_it.events[0].count.tolist() == [0, 1, 0]
        torch.testing.assert_close(with_it.ys[:, ::2], without.ys, rtol=3e-5, atol=3e-5)
        assert with_it.reached.tolist()[::2] == [5, 5]
        assert with_it.events[0].times[::2].isnan().all()

    def test_at_an_output_time_the_output_is_given(self):
        sol = solve_ode(
            lambda t, y: torch.ones_like(y),
            torch.full((2, 1), -1.0, dtype=F64),
            times(0, 1, 2),
            RK4(),
            step=0.25,
            events=(Event(lambda t, y: y[:, 0]),),
        )
        assert sol.reached.tolist() == [1, 1]
        assert sol.ys[1].tolist() == [[0], [0]]
        assert sol.ys[2].isnan().all()

    def test_one_at_the_end_of_the_interval(self):
        sol = solve_ode(
            lambda t, y: torch.ones_like(y), times(-1), times(0, 1), Euler(), events=(Event(lambda t, y: y[0]),)
        )
        assert sol.events[0].times.tolist() == [[1.0]]
        assert sol.ys[-1].tolist() == [0]

    def test_seen_in_blocks_of_steps(self, monkeypatch):
        """As on devices that are only looked at every few steps."""

        def solve():
            return solve_ode(flight, BALLS, times(0, 0.5, 60), BS3(), events=(Event(ground, direction=-1),), dense=True)

        expected, init = solve(), per_sample.PerSample.__init__

        def blocks(self, problem, *args, **options):
            init(self, problem, *args, **options)
            self.every = 8

        monkeypatch.setattr(per_sample.PerSample, "__init__", blocks)
        sol = solve()
        assert torch.equal(sol.events[0].times, expected.events[0].times)
        assert torch.equal(sol.events[0].states, expected.events[0].states)
        assert torch.equal(sol.reached, expected.reached)
        assert torch.equal(sol.status, expected.status)
        assert torch.equal(sol.steps, expected.steps)
        assert torch.equal(sol.rejected, expected.rejected)
        torch.testing.assert_close(sol.ys, expected.ys, equal_nan=True)
        torch.testing.assert_close(sol.dense(0.1), expected.dense(0.1))


class TestOccurrences:
    @pytest.mark.parametrize("loop", LOOPS)
    @pytest.mark.parametrize("sign", [1, -1], ids=["forward", "backward"])
    @pytest.mark.parametrize("direction", [-1, 0, 1])
    def test_all_roots_of_an_oscillation(self, loop, sign, direction):
        """cos vanishes at (k + 1/2) pi, alternately falling and rising as the integration goes on."""
        y0 = torch.tensor([[1.0, 0.0], [-2.0, 0.0]], dtype=F64)
        event = Event(lambda t, y: y[:, 0], direction=direction, terminal=False)
        sol = solve_ode(circle, y0, sign * times(0, 10), events=(event,), **{"rtol": 1e-7, **LOOPS[loop]})
        roots = sign * (torch.arange(3, dtype=F64) + 0.5) * torch.pi
        found = sol.events[0]
        for i, first in enumerate((-1, 1)):
            expected = roots if direction == 0 else roots[0 if direction == first else 1 :: 2]
            assert found.count[i] == len(expected)
            torch.testing.assert_close(found.times[i, : len(expected)], expected, rtol=0, atol=1e-5)
            torch.testing.assert_close(found.states[: len(expected), i, 0], 0 * expected, rtol=0, atol=1e-5)
        assert sol.ys.isfinite().all()

    def test_padding(self):
        y0 = torch.tensor([[1.0, 0.0], [0.0, 0.2], [0.2, 0.0]], dtype=F64)
        event = Event(lambda t, y: y[:, 1] + 0.5, terminal=False)
        found = solve_ode(circle, y0, times(0, 6), events=(event,)).events[0]
        assert found.count.tolist() == [2, 0, 0]
        assert found.times.shape == (3, 2)
        assert found.states.shape == (2, 3, 2)
        assert found.times[1:].isnan().all()
        assert found.states[:, 1:].isnan().all()

    def test_none_found_and_no_interval(self):
        event = Event(lambda t, y: y[:, 0] - 7)
        for ts in (times(0, 1), times(0)):
            found = solve_ode(circle, BALLS[:2] / 10, ts, events=(event,)).events[0]
            assert found.times.shape == (2, 0)
            assert found.states.shape == (0, 2, 2)
            assert found.count.tolist() == [0, 0]

    def test_zero_at_the_end_of_a_step_counts_once(self):
        y0 = times(-1.0)
        events = tuple(Event(lambda t, y: y[0], d, terminal=False) for d in (0, 1, -1))
        sol = solve_ode(lambda t, y: torch.ones_like(y), y0, times(0, 2), RK4(), step=0.25, events=events)
        assert [e.times.tolist() for e in sol.events] == [[[1.0]], [[1.0]], [[]]]

    @pytest.mark.parametrize("direction", [0, 1, -1])
    @pytest.mark.parametrize("rounding", [0, 1e-17, -1e-17])
    def test_a_root_at_the_start_is_no_event(self, direction, rounding):
        y0, tolerance = times(rounding, 10.0), 1e-12 if rounding and direction >= 0 else None
        event = Event(lambda t, y: y[0], direction, tolerance=tolerance)
        found = solve_ode(flight, y0, times(0, 5), events=(event,)).events[0]
        assert found.count.tolist() == [0 if direction == 1 else 1]
        if direction < 1:
            assert abs(float(found.times) - 2) < 3e-12

    @pytest.mark.parametrize("terminal", [False, True])
    def test_several_roots_in_one_step(self, terminal):
        """Roots of several conditions at .1, .3, .6 and .9 of a step: the first terminal one ends it."""
        roots = (
            Event(lambda t, y: (t - 0.1) * (t - 0.6) * (t - 0.9), terminal=False),
            Event(lambda t, y: t - 0.3, terminal=False),
            Event(lambda t, y: 0.7 - t, terminal=terminal),
            Event(lambda t, y: 0.8 - t, terminal=terminal),
        )
        sol = solve_ode(lambda t, y: 0 * y, times(1.0), times(0, 1), RK4(), events=roots)
        assert sol.steps.tolist() == [1]
        expected = [[0.1, 0.6], [0.3], [0.7], []] if terminal else [[0.1, 0.6, 0.9], [0.3], [0.7], [0.8]]
        for event, exact in zip(sol.events, expected, strict=True):
            torch.testing.assert_close(event.times, times(*exact)[None], rtol=0, atol=2e-15)
        assert abs(float(sol.reached) - (0.7 if terminal else 1)) < 1e-15

    @pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-10])
    def test_tolerance(self, tolerance):
        calls = 0

        def condition(t, y):
            nonlocal calls
            calls += 1
            return torch.exp(y[:, 0]) - 1

        event = Event(condition, tolerance=tolerance)
        exact, counts = landing(BALLS), []
        for chosen in (event, Event(condition)):
            calls = 0
            found = solve_ode(flight, BALLS, times(0, 60), events=(chosen,), **TIGHT).events[0]
            counts.append(calls)
            assert ((found.times[:, 0] - exact).abs() <= (chosen.tolerance or 1e-13) * 1.01).all()
        assert counts[0] < counts[1]


class TestForms:
    def test_a_state_without_batch(self):
        seen = []

        def condition(t, y):
            seen.append((t.shape, y["height"].shape))
            return y["height"]

        y0 = {"height": torch.tensor(0.0).double(), "velocity": torch.tensor(10.0).double()}

        def f(t, y):
            return {"height": y["velocity"], "velocity": -10 + 0 * t}

        sol = solve_ode(f, y0, times(0, 9), events=(Event(condition),))
        assert set(seen) == {((), ())}
        found = sol.events[0]
        assert abs(float(found.times) - 2) < 1e-12
        assert found.states["velocity"].shape == (1,)
        assert abs(float(found.states["velocity"]) + 10) < 1e-10

    @pytest.mark.parametrize("loop", LOOPS)
    def test_a_tuple_with_a_batch(self, loop):
        shapes = set()

        def f(t, y):
            return y[1], -y[0]

        def condition(t, y):
            shapes.add((*t.shape, *y[0].shape))
            return y[0][:, 0, 0] - 0.5

        y0 = (torch.ones(3, 2, 2, dtype=F64) * times(1, 2, 3)[:, None, None], torch.zeros(3, 2, 2, dtype=F64))
        sol = solve_ode(f, y0, times(0, 9), events=(Event(condition),), **LOOPS[loop])
        exact = torch.acos(0.5 / times(1, 2, 3))
        torch.testing.assert_close(sol.events[0].times[:, 0], exact, rtol=0, atol=1e-4)
        assert sol.events[0].states[1].shape == (1, 3, 2, 2)
        assert {shape[1:3] for shape in shapes} == {(1, 1)}

    @pytest.mark.parametrize("loop", LOOPS)
    @pytest.mark.parametrize("closed", [False, True])
    def test_thresholds_of_each_element(self, loop, closed):
        """As args of the field they follow the elements that are left; closed over, all elements are kept."""
        level = torch.tensor([4.0, 1.0, 0.1, 0.4, 1.5], dtype=F64)
        field = Field(lambda t, y, a: flight(t, y), (level,))
        condition = (lambda t, y, a: y[:, 0] - level) if closed else (lambda t, y, a: y[:, 0] - a)
        sol = solve_ode(field, BALLS, times(0, 3), events=(Event(condition, direction=-1),), **{**TIGHT, **LOOPS[loop]})
        exact = landing(BALLS - torch.stack([level, 0 * level], 1))
        assert torch.isnan(exact[3])  # it never gets there
        assert sol.events[0].count.tolist() == [1, 1, 1, 0, 1]
        keep = exact.isfinite()
        torch.testing.assert_close(sol.events[0].times[keep, 0], exact[keep], rtol=1e-12, atol=1e-12)

    def test_times_of_each_element(self):
        y0 = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=F64)
        ts = times(0, 10).repeat(2, 1) + times(0, 100)[:, None]
        sol = solve_ode(circle, y0, ts, events=(Event(lambda t, y: y[:, 0]),), **TIGHT)
        torch.testing.assert_close(sol.events[0].times[:, 0], times(0, 100) + torch.pi / 2, rtol=0, atol=1e-8)


class TestNaN:
    @pytest.mark.parametrize("loop", LOOPS)
    def test_ends_the_element_and_says_so(self, loop):
        event = Event(lambda t, y: torch.log(y[:, 0] + 0.5) + 9)
        y0 = torch.tensor([[0.3, 0.0], [1.0, 0.0]], dtype=F64)
        sol = solve_ode(circle, y0, times(0, 1, 3), events=(event,), throw=False, **LOOPS[loop])
        assert [Status(int(s)) for s in sol.status] == [Status.CONVERGED, Status.NON_FINITE]
        assert sol.reached[0] == 3
        assert 1 < sol.reached[1] < 2.1  # where cos t = -1/2, or up to a step before
        assert torch.isfinite(sol.ys[:2]).all()
        assert sol.ys[2, 1].isnan().all()
        assert sol.events[0].count.tolist() == [0, 0]
        with pytest.raises(SolveError, match="batch element 1 of 2 at t = "):
            solve_ode(circle, y0, times(0, 1, 3), events=(event,), **LOOPS[loop])

    def test_at_the_start(self):
        event = Event(lambda t, y: torch.sqrt(y[:, 0]) + 1)
        y0 = torch.tensor([[-0.1, 0.0], [1.0, 0.0]], dtype=F64)
        sol = solve_ode(circle, y0, times(0, 1), events=(event,), throw=False)
        assert sol.status.tolist() == [int(Status.NON_FINITE), 0]
        assert sol.reached.tolist() == [0, 1]

    def test_between_the_looks(self):
        def condition(t, y):
            return torch.where((t > 0.51) & (t < 0.74), nan, t - 0.6)

        sol = solve_ode(lambda t, y: 0 * y, times(1.0), times(0, 1), RK4(), events=(Event(condition),), throw=False)
        assert Status(int(sol.status)) is Status.NON_FINITE

    def test_behind_a_terminal_root_it_does_not_matter(self):
        def condition(t, y):
            return torch.where(t > 0.7, nan, t - 0.3)

        sol = solve_ode(lambda t, y: 0 * y, times(1.0), times(0, 1), RK4(), events=(Event(condition),))
        assert abs(float(sol.reached) - 0.3) < 1e-15


def drag(c):
    """A ball with resistance c v."""
    return lambda t, y: torch.stack([y[..., 1], -10 - c * y[..., 1]], -1)


class TestGradients:
    @pytest.mark.parametrize("loop", LOOPS)
    def test_of_times_and_states_as_finite_differences_have_them(self, loop):
        """To the start, a parameter of f and one of the condition, where elements end at different times."""

        def found(y0, c, level):
            event = Event(lambda t, y: y[:, 0] - level + 0.1 * torch.sin(t[:, 0]), direction=-1)
            top = Event(lambda t, y: y[:, 1], terminal=False)
            options = {"method": DOP853(), **TIGHT, **LOOPS[loop]}
            options["step"] = 0.1
            sol = solve_ode(drag(c), y0, times(0, 0.2, 60), events=(event, top), **options)
            assert sol.events[1].count.tolist() == [1, 1]
            return (*(x for e in sol.events for x in (e.times, e.states)), sol.ys[1])

        y0 = torch.tensor([[0.0, 10.0], [1.0, 4.0]], dtype=F64, requires_grad=True)
        c, level = (torch.tensor(x, dtype=F64, requires_grad=True) for x in (0.05, -0.3))
        assert torch.autograd.gradcheck(found, (y0, c, level), eps=1e-5, atol=3e-5, rtol=1e-5)

    def test_to_the_times(self):
        """The start moves the landing by as much."""
        ts = times(0.5, 60).requires_grad_()
        sol = solve_ode(flight, BALLS, ts, events=(Event(ground, direction=-1),))
        (slope,) = torch.autograd.grad(sol.events[0].times[0, 0], ts)
        torch.testing.assert_close(slope, times(1, 0), rtol=0, atol=1e-10)

    def test_of_thrown_balls_in_closed_form(self):
        y0 = BALLS.clone().requires_grad_()
        found = solve_ode(flight, y0, times(0, 60), events=(Event(ground, direction=-1),)).events[0]
        (slope,) = torch.autograd.grad(found.times.sum(), y0)
        speed = (BALLS[:, 1] ** 2 + 20 * BALLS[:, 0]).sqrt()
        torch.testing.assert_close(slope, torch.stack([1 / speed, landing(BALLS) / speed], 1), rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("joint", [False, True])
    def test_of_bouncing_balls(self, joint):
        """Each rebound starts a solve at the times and states of the last: t_k = v (1 + 2 (e + ... + e^(k-1))) / g."""
        heights = times(5.0, 1.25, 0.8).requires_grad_()
        e = torch.tensor(0.8, dtype=F64, requires_grad=True)
        t, y = torch.zeros(3, dtype=F64), torch.stack([heights, 0 * heights], 1)
        end, flights = torch.full((3,), 9.0, dtype=F64), 0
        fall = (heights / 5).sqrt()
        for bounce in range(4):
            ts = torch.stack([t, end], 1)
            control = PID(joint=joint and bounce == 0)
            ts = ts[0] if control.joint else ts
            found = solve_ode(flight, y, ts, control=control, events=(Event(ground, -1),)).events[0]
            assert found.count.tolist() == [1, 1, 1]
            t, y = found.times[:, 0], torch.stack([found.states[0, :, 0], -e * found.states[0, :, 1]], 1)
            flights = flights + (1 if bounce == 0 else 2 * e**bounce)
            exact = fall * flights
            torch.testing.assert_close(t, exact, rtol=1e-11, atol=1e-11)
            ours, theirs = (
                torch.autograd.grad(x.sum(), (heights, e), retain_graph=True, allow_unused=True)
                for x in (t + y.sum(1), exact + e ** (bounce + 1) * 10 * fall)
            )
            torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)

    def test_none_where_none_are_wanted(self):
        sol = solve_ode(flight, BALLS, times(0, 60), events=(Event(ground, -1),))
        assert not sol.events[0].times.requires_grad
        y0 = BALLS.clone().requires_grad_()
        with torch.no_grad():
            sol = solve_ode(flight, y0, times(0, 60), events=(Event(ground, -1),))
        assert not sol.events[0].states.requires_grad

    def test_a_second_derivative_is_refused(self):
        y0 = BALLS.clone().requires_grad_()
        found = solve_ode(flight, y0, times(0, 60), events=(Event(ground, -1),)).events[0]
        with pytest.raises(RuntimeError, match="Event: expected first derivatives"):
            torch.autograd.grad(found.times.sum(), y0, create_graph=True)

    @pytest.mark.parametrize("loop", LOOPS)
    def test_f_may_end_where_the_event_is(self, loop):
        """A leaking tank: y' = -sqrt(y - 1) has no derivative at the event, where the element then rests."""
        y0 = torch.tensor([[2.0], [3.0], [5.0]], dtype=F64, requires_grad=True)
        event = Event(lambda t, y: y[:, 0] - 1.0001)
        options = {"step": 0.01, "method": RK4()} if loop == "equal steps" else LOOPS[loop]
        sol = solve_ode(lambda t, y: -torch.sqrt(y - 1), y0, times(0, 9), events=(event,), **options)
        (slope,) = torch.autograd.grad(sol.events[0].times.sum(), y0)
        torch.testing.assert_close(slope, (y0.detach() - 1) ** -0.5, rtol=5e-3, atol=0)


@dataclass(frozen=True)
class Abrupt(RK4):
    """A method without continuous extension."""

    @property
    def dense_order(self):
        return 0


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "what"), [({"events": (Event(ground),)}, "events"), ({"dense": True}, "dense")]
    )
    def test_methods_without_continuous_extension(self, options, what):
        with pytest.raises(ValueError, match=rf"{what}: expected a method with a continuous extension, found Abrupt\("):
            solve_ode(flight, BALLS, times(0, 1), Abrupt(), **options)

    @pytest.mark.parametrize("loop", ["joint", "equal steps"])
    def test_coupled_elements_that_would_end_alone(self, loop):
        def f(t, y):
            return y.roll(1, 0) - y

        y0 = torch.rand(4, 1, dtype=F64)
        with pytest.raises(ValueError, match="for terminal events of a coupled state give a leading dimension of 1"):
            solve_ode(f, y0, times(0, 1), events=(Event(ground),), **LOOPS[loop])
        passing = Event(lambda t, y: y[:, 0] - y0.mean(), terminal=False)
        assert solve_ode(f, y0, times(0, 9), events=(passing,), **LOOPS[loop]).events[0].count.sum() > 0
        whole = Event(lambda t, y: y[:, 1, 0] - y[:, 0, 0])
        sol = solve_ode(lambda t, y: y.roll(1, 1) - y, y0[None], times(0, 9), events=(whole,), **LOOPS[loop])
        assert sol.status.tolist() == [0]

    @pytest.mark.parametrize(
        ("condition", "shape"),
        [
            (lambda t, y: y, r"\(5, 2\)"),
            (lambda t, y: y[:, :1], r"\(5, 1\)"),
            (lambda t, y: y.sum(), r"\(\)"),
            (lambda t, y: y[:, 0] > 0, r"torch.bool of \(5,\)"),
            (lambda t, y: 1.0, "1.0"),
        ],
    )
    def test_conditions_of_another_form(self, condition, shape):
        with pytest.raises(
            ValueError, match=rf"events\[1\].condition: expected .* of shape \(5,\), .* found .*{shape}"
        ):
            solve_ode(flight, BALLS, times(0, 1), events=(Event(ground), Event(condition)))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"direction": 2}, "Event.direction: expected -1, 0 or 1, found 2"),
            ({"tolerance": 0.0}, "Event.tolerance: expected a positive number, found 0.0"),
            ({"tolerance": nan}, "Event.tolerance"),
        ],
    )
    def test_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            Event(ground, **arguments)

    def test_other_adjoints(self):
        class Other(Adjoint):
            def solve(self, integration, y0, ts):
                return Direct().solve(integration, y0, ts)

        with pytest.raises(ValueError, match=r"events: expected adjoint=Direct\(\), found Other"):
            solve_ode(flight, BALLS, times(0, 1), events=(Event(ground),), adjoint=Other())
