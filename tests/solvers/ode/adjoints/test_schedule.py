from functools import cache

import pytest

from opnet.solvers.ode.adjoints.schedule import split


@cache
def cost(steps, slots, first=split):
    """Steps taken forward to reverse `steps`, besides each being differentiated once."""
    if steps <= 1 or slots == 0:
        return steps * (steps - 1) // 2
    if first is not None:
        m = first(steps, slots)
        assert 0 < m < steps
        return m + cost(steps - m, slots - 1) + cost(m, slots)
    return min(m + cost(steps - m, slots - 1, None) + cost(m, slots, None) for m in range(1, steps))


@pytest.mark.parametrize("slots", range(1, 8))
def test_takes_the_fewest_steps_possible(slots):
    for steps in range(2, 90):
        assert cost(steps, slots) == cost(steps, slots, None)


def test_logarithmic_memory_takes_few_passes():
    assert cost(1000, 9) <= 4 * 1000
    assert cost(100_000, 16) <= 6 * 100_000
