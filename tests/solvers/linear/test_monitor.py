import pytest
import torch

from opnet.core.status import Status
from opnet.solvers.linear.monitor import Monitor


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def follow(history, target, window):
    """The monitor after it saw these norms of one element."""
    monitor = Monitor(numbers(history[0]), numbers(target), window=window)
    for norm in history[1:]:
        if monitor.done:
            break
        monitor.advance(numbers(norm))
    return monitor


def test_each_element_ends_by_itself():
    monitor = Monitor(numbers(1.0, 1.0, 0.1, torch.nan), numbers(0.5, 0.5, 0.5, 0.5))
    assert monitor.active.tolist() == [True, True, False, False]
    monitor.advance(numbers(0.4, 0.9, 7.0, 7.0))
    monitor.advance(numbers(8.0, torch.inf, 8.0, 8.0))
    assert monitor.done
    assert monitor.status.tolist() == [Status.CONVERGED, Status.NON_FINITE, Status.CONVERGED, Status.NON_FINITE]
    assert monitor.iterations.tolist() == [1, 2, 0, 0]
    assert [norm[0].item() for norm in monitor.norms] == [1.0, 0.4, 0.4]  # at rest the last norm stays


def test_a_window_without_gain_is_stagnation():
    slow = [0.9998**i for i in range(2000)]
    assert follow(slow, 1e-3, window=10).status.item() == Status.STAGNATED
    assert follow(slow, 1e-3, window=10).taken == 10
    assert bool(follow(slow, 1e-3, window=100).active)  # 2 % in 100 iterations
    assert bool(follow(slow, 1e-3, window=None).active)


def test_a_gain_early_in_the_window_counts():
    steps = [1.0] * 9 + [0.5] * 10 + [0.2] * 10
    assert bool(follow(steps, 0.1, window=10).active)


def test_growth_is_divergence():
    monitor = follow([2.0**i for i in range(60)], 1e-3, window=100)
    assert monitor.status.item() == Status.BREAKDOWN
    assert monitor.taken == 27


def test_a_history_from_elsewhere_makes_the_same_monitor():
    own = Monitor(numbers(1.0, 4.0), numbers(0.5, 0.5))
    own.advance(numbers(0.2, 2.0))
    own.advance(numbers(0.2, 0.3))
    other = Monitor.from_history(torch.stack(own.norms), own.target, own.status, own.iterations)
    assert other.done
    assert (other.taken, other.iterations.tolist(), other.status.tolist()) == (2, [1, 2], [0, 0])
    assert all(map(torch.equal, other.norms, own.norms))


def test_extension_changes_the_elements_that_went_on_alone():
    monitor = follow([1.0, 0.4], 0.5, window=None)
    later = Monitor(numbers(0.6), numbers(0.5))
    later.advance(numbers(0.45))
    later.fail(torch.tensor([True]), Status.BREAKDOWN)
    monitor.extend(later, torch.tensor([True]))
    assert (monitor.iterations.item(), monitor.taken, monitor.norms[-1].item()) == (2, 2, 0.45)
    monitor.extend(later, torch.tensor([False]))
    assert (monitor.iterations.item(), monitor.norms[-1].item()) == (2, 0.45)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_device_looks_are_few_and_late_iterations_harmless():
    monitor = Monitor(numbers(1.0).cuda(), numbers(0.5).cuda())
    monitor.advance(numbers(0.1).cuda())
    looks = 0
    while not monitor.done:
        monitor.advance(numbers(3.0).cuda())
        looks += 1
    assert 0 < looks < 16
    assert (monitor.iterations.item(), monitor.norms[-1].item()) == (1, 0.1)
