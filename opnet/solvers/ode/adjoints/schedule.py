"""Where to keep states when the steps of a solve are taken again from the last to the first."""

from __future__ import annotations

from math import comb


def split(steps: int, slots: int) -> int:
    r"""How many steps to take before the next state is kept, to reverse `steps` with room for `slots` more states.

    With s states, that at the start among them, :math:`\beta(s, r) = \binom{s + r}{s}` steps can be reversed with each
    taken forward at most r times before it is differentiated. With the least r for which `steps` is within it, keeping
    a state after m steps leaves both parts within theirs, `m <= beta(s, r - 1)` and `steps - m <= beta(s - 1, r)`,
    which makes the number of steps taken the least possible (Griewank and Walther, ACM Trans. Math. Softw. 26 (2000)).

    >>> split(10, 2)  # 3 states, 10 = beta(3, 2): 4 = beta(3, 1) on the left, 6 = beta(2, 2) on the right
    4
    """
    s, r = slots + 1, 1
    while comb(s + r, s) < steps:
        r += 1
    return min(comb(s + r - 1, s), steps - comb(s + r - 2, s - 1))
