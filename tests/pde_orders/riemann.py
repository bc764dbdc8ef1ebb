"""Exact solutions of Riemann's problem, by Newton's iteration on the pressure or height between the waves.

E. F. Toro, *Riemann Solvers and Numerical Methods for Fluid Dynamics*, chapter 4, and *Shock-Capturing Methods for
Free-Surface Shallow Flows*, chapter 5.
"""

from __future__ import annotations

import numpy as np


def gas(left, right, xi, gamma):
    """(density, velocity, pressure) at the speeds xi = x / t; (3, n). Without vacuum."""
    g1, g2 = (gamma - 1) / (2 * gamma), (gamma + 1) / (2 * gamma)

    def wave(p, state):
        """Change of velocity across a wave to pressure p, and its derivative."""
        rho, _, p0 = state
        c = np.sqrt(gamma * p0 / rho)
        if p > p0:
            a, b = 2 / ((gamma + 1) * rho), (gamma - 1) / (gamma + 1) * p0
            root = np.sqrt(a / (p + b))
            return (p - p0) * root, root * (1 - (p - p0) / (2 * (p + b)))
        return 2 * c / (gamma - 1) * ((p / p0) ** g1 - 1), (p / p0) ** -g2 / (rho * c)

    p = _root(lambda p: _sum(wave(p, left), wave(p, right), right[1] - left[1]), min(left[2], right[2]))
    v = 0.5 * (left[1] + right[1] + wave(p, right)[0] - wave(p, left)[0])

    def side(state, sign):
        """From the outside in, along sign * xi."""
        rho, u, p0 = state[0], sign * state[1], state[2]
        s, inner, c = sign * xi, sign * v, np.sqrt(gamma * state[2] / state[0])
        out = np.tile(np.array([rho, u, p0], float)[:, None], (1, xi.size))
        ratio = (gamma - 1) / (gamma + 1)
        if p > p0:
            speed = u + c * np.sqrt(g2 * p / p0 + g1)
            middle = rho * (p / p0 + ratio) / (ratio * p / p0 + 1)
            out[:, s < speed] = np.array([middle, inner, p])[:, None]
        else:
            c_middle = c * (p / p0) ** g1
            fan = (s < u + c) & (s > inner + c_middle)
            here = (2 / (gamma + 1)) - ratio / c * (u - s[fan])
            out[:, fan] = rho * here ** (2 / (gamma - 1)), s[fan] - c * here, p0 * here ** (1 / g1)
            out[:, s <= inner + c_middle] = np.array([rho * (p / p0) ** (1 / gamma), inner, p])[:, None]
        out[1] *= sign
        return out

    return np.where(xi < v, side(left, -1), side(right, 1))


def water(left, right, xi, gravity):
    """(height, velocity) at the speeds xi = x / t; (2, n). Without a dry bed."""

    def wave(h, state):
        h0 = state[0]
        if h > h0:
            root = np.sqrt(gravity / 2 * (h + h0) / (h * h0))
            return (h - h0) * root, root - gravity * (h - h0) / (4 * h**2 * root)
        return 2 * (np.sqrt(gravity * h) - np.sqrt(gravity * h0)), np.sqrt(gravity / h)

    h = _root(lambda h: _sum(wave(h, left), wave(h, right), right[1] - left[1]), min(left[0], right[0]))
    v = 0.5 * (left[1] + right[1] + wave(h, right)[0] - wave(h, left)[0])

    def side(state, sign):
        h0, u, s, inner = state[0], sign * state[1], sign * xi, sign * v
        out = np.tile(np.array([h0, u], float)[:, None], (1, xi.size))
        if h > h0:
            out[:, s < u + np.sqrt(gravity * h * (h + h0) / (2 * h0))] = np.array([h, inner])[:, None]
        else:
            c, c_middle = np.sqrt(gravity * h0), np.sqrt(gravity * h)
            fan = (s < u + c) & (s > inner + c_middle)
            here = (2 * c - u + s[fan]) / 3
            out[:, fan] = here**2 / gravity, s[fan] - here
            out[:, s <= inner + c_middle] = np.array([h, inner])[:, None]
        out[1] *= sign
        return out

    return np.where(xi < v, side(left, -1), side(right, 1))


def _sum(first, second, jump):
    return first[0] + second[0] + jump, first[1] + second[1]


def _root(f, x):
    for _ in range(200):
        value, slope = f(x)
        new = max(x - value / slope, x / 10)
        if abs(new - x) <= 1e-13 * x:
            return new
        x = new
    raise AssertionError("Newton's iteration did not end")
