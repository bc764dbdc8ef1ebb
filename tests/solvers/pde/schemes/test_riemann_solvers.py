"""Laws of the approximate Riemann solvers of both equations."""

import pytest
import torch

from opnet.solvers.pde.schemes.euler import Euler
from opnet.solvers.pde.schemes.saint_venant import SaintVenant

LAWS = [Euler(1.4), SaintVenant(2.0)]


def states(law, count):
    channels = 4 if isinstance(law, Euler) else 3
    w = 0.5 + torch.rand(channels, count, dtype=torch.float64)
    w[1:3] = 6 * (w[1:3] - 1)  # to both sides, faster and slower than sound
    return w


def exact_flux(law, w, axis):
    u = law.conserved(w)
    F = u * w[1 + axis]
    if isinstance(law, Euler):
        F[-1] += w[-1] * w[1 + axis]
        F[1 + axis] += w[-1]
    else:
        F[1 + axis] += law.gravity / 2 * w[0] ** 2
    return F


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("axis", [0, 1])
def test_equal_states_give_the_flux_itself(law, axis):
    w = states(law, 200)
    torch.testing.assert_close(law.flux(w, w, axis), exact_flux(law, w, axis), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_what_moves_faster_than_sound_is_upwind(law):
    left, right = states(law, 200), states(law, 200)
    left[1], right[1] = 20.0, 20.0
    torch.testing.assert_close(law.flux(left, right, 0), exact_flux(law, left, 0), rtol=1e-12, atol=0)
    left[1], right[1] = -20.0, -20.0
    torch.testing.assert_close(law.flux(left, right, 0), exact_flux(law, right, 0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("law", LAWS)
def test_mirrors_and_turned_axes(law):
    left, right = states(law, 200), states(law, 200)
    F = law.flux(left, right, 0)
    turn = [0, 2, 1, 3][: len(left)]
    torch.testing.assert_close(law.flux(left[turn], right[turn], 1)[turn], F, rtol=1e-12, atol=1e-12)
    sign = torch.ones(len(left), 1, dtype=torch.float64)
    sign[1] = -1
    torch.testing.assert_close(-sign * law.flux(sign * right, sign * left, 0), F, rtol=1e-10, atol=1e-10)


def test_a_standing_contact_stays():
    left = torch.tensor([1.0, 0.0, 3.0, 2.0], dtype=torch.float64)[:, None]
    right = torch.tensor([5.0, 0.0, -1.0, 2.0], dtype=torch.float64)[:, None]
    torch.testing.assert_close(Euler().flux(left, right, 0)[:, 0].tolist(), [0.0, 2.0, 0.0, 0.0])


@pytest.mark.parametrize("law", LAWS)
def test_conserved_and_primitive_are_inverse(law):
    w = states(law, 50)
    torch.testing.assert_close(law.primitive(law.conserved(w)), w, rtol=1e-12, atol=1e-12)
