"""The hot loops of a V-cycle and of conjugate gradients on the CPU, compiled by numba.

A cycle passes over each level twice: down (smooth, take the residual, restrict) and up (smooth again instead of having
stored it, add the correction, smooth), each in one sweep over the rows that keeps the few rows it needs in the nearest
cache. Levels lie in one array `F` of single precision, at offsets that the table `T` holds, one row a level:

    ny, nx, pitch, planes, offset of the couplings, of the interpolation, of b, of z.

A field of a level has ny + 3 rows of `pitch` numbers: a row of zeros, then ny rows each of MARGIN zeros and nx values
and zeros, then two rows of zeros. The matrix of a level is scaled by s = d^(-1/2) from both sides, d being what the
smoother divides by, so that its diagonal is 1; planes are its couplings to the east (0, 1), the north (1, 0) and, on
coarse levels, the north-east (1, 1), the north-west (1, -1), and the diagonal less 1. The interpolation has nine
planes of the coarse level, the weight of each coarse node at the 3 x 3 fine nodes around it.

Indices are unsigned, which spares numba the handling of negative ones and lets the loops be vectorised; a loop writes
to one array only, for the same reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from inspect import unwrap
from typing import Any

import numpy as np
from numba import njit

MARGIN = 16  # numbers before the first of a row: a cache line
NY, NX, PITCH, PLANES, COUPLINGS, WEIGHTS, RIGHT, RESULT = range(8)
RING = 16  # rows of the work space
CHUNK = 2048  # numbers that stay in the nearest cache between two loops

U = np.uint64


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function in machine code, kept between processes. NaN and Inf keep their meaning; sums may be reordered."""
    plain = unwrap(function)  # an import hook that checks types may have wrapped it
    jit = partial(njit, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
    try:
        return jit(cache=True)(plain)
    except RuntimeError:  # there is no folder that may be written: compiled in every process
        return jit()(plain)


@compiled
def row(i, pitch):
    """Offset of the first value of row i of a field."""
    return (i + 1) * pitch + MARGIN


@compiled
def clear(a, start, n):
    start = U(start)
    for j in range(U(n)):
        a[start + j] = 0


@compiled
def five(out, o, x, south, centre, north, c, east, c_south, c_north, b, bo, p, q, s, n):
    """out = p b + q A x + s x along a row, for the couplings with axis neighbours."""
    t = s + q
    west, x_west, x_east = U(east - 1), U(centre - 1), U(centre + 1)
    o, south, centre, north, bo = U(o), U(south), U(centre), U(north), U(bo)
    east, c_south, c_north = U(east), U(c_south), U(c_north)
    for j in range(U(n)):
        around = c[west + j] * x[x_west + j] + c[east + j] * x[x_east + j]
        around += c[c_south + j] * x[south + j] + c[c_north + j] * x[north + j]
        out[o + j] = p * b[bo + j] + t * x[centre + j] + q * around


@compiled
def five_more(out, o, x, south, centre, north, c, east, c_south, c_north, p, q, n):
    """out += p x + q A x along a row, as `five`."""
    t = p + q
    west, x_west, x_east = U(east - 1), U(centre - 1), U(centre + 1)
    o, south, centre, north = U(o), U(south), U(centre), U(north)
    east, c_south, c_north = U(east), U(c_south), U(c_north)
    for j in range(U(n)):
        around = c[west + j] * x[x_west + j] + c[east + j] * x[x_east + j]
        around += c[c_south + j] * x[south + j] + c[c_north + j] * x[north + j]
        out[o + j] += t * x[centre + j] + q * around


@compiled
def corners(out, o, x, south, centre, north, c, base, size, at, pitch, q, n):
    """out += q (A x) for the couplings with diagonal neighbours and the diagonal less 1; `at` is the row in a plane."""
    north_east, north_west, south_east, south_west = U(north + 1), U(north - 1), U(south + 1), U(south - 1)
    at += base + 2 * size
    c_ne, c_nw, c_0 = U(at), U(at + size), U(at + 2 * size)
    c_sw, c_se = U(at - pitch - 1), U(at + size - pitch + 1)
    o, centre = U(o), U(centre)
    for j in range(U(n)):
        above = c[c_ne + j] * x[north_east + j] + c[c_nw + j] * x[north_west + j]
        below = c[c_sw + j] * x[south_west + j] + c[c_se + j] * x[south_east + j]
        out[o + j] += q * (c[c_0 + j] * x[centre + j] + above + below)


@compiled
def combine(F, base, planes, size, i, pitch, out, o, x, south, centre, north, b, bo, p, q, s, n):
    """out = p b + q A x + s x along row i."""
    at = row(i, pitch)
    east, upward = base + at, base + size + at
    five(out, o, x, south, centre, north, F, east, upward - pitch, upward, b, bo, p, q, s, n)
    if planes > 2:
        corners(out, o, x, south, centre, north, F, base, size, at, pitch, q, n)


@compiled
def split(buffer, even, odd, line, n):
    """The even and the odd values of a line; n + 1 of the even ones."""
    even, odd, first, second, two = U(even), U(odd), U(line), U(line + 1), U(2)
    for j in range(U(n + 1)):
        buffer[even + j] = buffer[first + two * j]
        buffer[odd + j] = buffer[second + two * j]


@compiled
def join(singles, pairs, line, even, odd, n):
    """The line of n alternating even and odd values, as pairs of bits: single stores would not be vectorised."""
    half, even, odd, bits = U(line // 2), U(even), U(odd), U(32)
    for j in range(U((n + 1) // 2)):
        pairs[half + j] = U(singles[even + j]) | (U(singles[odd + j]) << bits)


@compiled
def gather(F, out, buffer, even, odd, weights, size, n, fresh):
    """Restriction of one fine line to a coarse row: out (+)= the weights of three fine columns times their values."""
    w0, w1, w2, out = U(weights), U(weights + size), U(weights + 2 * size), U(out)
    later, even, odd = U(even + 1), U(even), U(odd)
    if fresh:
        for j in range(U(n)):
            F[out + j] = F[w0 + j] * buffer[even + j] + F[w1 + j] * buffer[odd + j] + F[w2 + j] * buffer[later + j]
    else:
        for j in range(U(n)):
            F[out + j] += F[w0 + j] * buffer[even + j] + F[w1 + j] * buffer[odd + j] + F[w2 + j] * buffer[later + j]


@compiled
def spread_on(F, buffer, even, odd, u, weights, size, n):
    """Interpolation to a fine line through coarse nodes, its even and odd values apart."""
    w0, w1, w2 = U(weights), U(weights + size), U(weights + 2 * size - 1)
    left, u, even, odd = U(u - 1), U(u), U(even), U(odd)
    for j in range(U(n + 1)):
        buffer[even + j] = F[w0 + j] * F[u + j] + F[w2 + j] * F[left + j]
    for j in range(U(n)):
        buffer[odd + j] = F[w1 + j] * F[u + j]
    buffer[odd + U(n)] = 0


@compiled
def spread_between(F, buffer, even, odd, u, lower, weights, w_lower, size, n):
    """Interpolation to a fine line between two rows of coarse nodes."""
    w0, w1, w2 = U(weights), U(weights + size), U(weights + 2 * size - 1)
    v0, v1, v2 = U(w_lower), U(w_lower + size), U(w_lower + 2 * size - 1)
    left, lower_left, u, lower, even, odd = U(u - 1), U(lower - 1), U(u), U(lower), U(even), U(odd)
    for j in range(U(n + 1)):
        above = F[w0 + j] * F[u + j] + F[w2 + j] * F[left + j]
        buffer[even + j] = above + F[v0 + j] * F[lower + j] + F[v2 + j] * F[lower_left + j]
    for j in range(U(n)):
        buffer[odd + j] = F[w1 + j] * F[u + j] + F[v1 + j] * F[lower + j]
    buffer[odd + U(n)] = 0


@compiled
def dot(a, ao, b, bo, n):
    total = a[0] * 0
    ao, bo = U(ao), U(bo)
    for j in range(U(n)):
        total += a[ao + j] * b[bo + j]
    return total


@compiled
def down(F, T, level, w1, w2, buffer):
    """Two smoothing steps from zero, and the restriction of the residual they leave: the next level's right-hand side.

    The steps give x = (w1 + w2) b - w1 w2 A b, which is not stored.
    """
    ny, nx, pitch, planes, base = T[level, NY], T[level, NX], T[level, PITCH], T[level, PLANES], T[level, COUPLINGS]
    b, rows = T[level, RIGHT], ny + 3
    size, n, coarse_pitch = rows * pitch, T[level + 1, NX], T[level + 1, PITCH]
    coarse_size, P, out = (T[level + 1, NY] + 3) * coarse_pitch, T[level, WEIGHTS], T[level + 1, RIGHT]
    total, product, one, zero = w1 + w2, -w1 * w2, w1 * 0 + 1, w1 * 0
    clear(buffer, 0, 5 * pitch)
    even, odd, r = 5 * pitch + MARGIN, 6 * pitch + MARGIN, 4 * pitch + MARGIN
    for i in range(ny + 1):
        x, at = (i % 4) * pitch + MARGIN, b + row(i, pitch)
        if i < ny:
            combine(
                F,
                base,
                planes,
                size,
                i,
                pitch,
                buffer,
                x,
                F,
                at - pitch,
                at,
                at + pitch,
                F,
                at,
                total,
                product,
                zero,
                nx,
            )
        else:
            clear(buffer, x, nx)
        k = i - 1
        if k < 0:
            continue
        below, here = ((k + 3) % 4) * pitch + MARGIN, (k % 4) * pitch + MARGIN
        combine(F, base, planes, size, k, pitch, buffer, r, buffer, below, here, x, F, at - pitch, one, -one, zero, nx)
        split(buffer, even, odd, r, n)
        Y = k // 2
        coarse = row(Y, coarse_pitch)
        if k % 2 == 1:
            gather(F, out + coarse, buffer, even, odd, P + 3 * coarse_size + coarse, coarse_size, n, False)
        else:
            if k > 0:
                lower = coarse - coarse_pitch
                gather(F, out + lower, buffer, even, odd, P + 6 * coarse_size + lower, coarse_size, n, False)
            if T[level + 1, NY] > Y:
                gather(F, out + coarse, buffer, even, odd, P + coarse, coarse_size, n, True)


@compiled
def up(F, T, level, w1, w2, buffer, singles, pairs):
    """The result z of a level: smoothing as in `down`, the correction from the next level, two steps; <b, z>."""
    ny, nx, pitch, planes, base = T[level, NY], T[level, NX], T[level, PITCH], T[level, PLANES], T[level, COUPLINGS]
    b, z, rows = T[level, RIGHT], T[level, RESULT], ny + 3
    size, n, coarse_pitch = rows * pitch, T[level + 1, NX], T[level + 1, PITCH]
    coarse_size, P, u = (T[level + 1, NY] + 3) * coarse_pitch, T[level, WEIGHTS], T[level + 1, RESULT]
    total, product, one = w1 + w2, -w1 * w2, w1 * 0 + 1
    clear(buffer, 0, 8 * pitch)
    even, odd = 8 * pitch + MARGIN, 9 * pitch + MARGIN
    accumulated = 0.0
    for i in range(ny + 2):
        x1, at = (i % 4) * pitch + MARGIN, b + row(i, pitch)
        if i < ny:
            coarse = row(i // 2, coarse_pitch)
            if i % 2 == 1:
                spread_on(F, buffer, even, odd, u + coarse, P + 3 * coarse_size + coarse, coarse_size, n)
            else:
                lower = coarse - coarse_pitch
                weights, w_lower = P + coarse, P + 6 * coarse_size + lower
                spread_between(F, buffer, even, odd, u + coarse, u + lower, weights, w_lower, coarse_size, n)
            join(singles, pairs, x1, even, odd, nx)
            here = row(i, pitch)
            east, upward = base + here, base + size + here
            five_more(buffer, x1, F, at - pitch, at, at + pitch, F, east, upward - pitch, upward, total, product, nx)
            if planes > 2:
                corners(buffer, x1, F, at - pitch, at, at + pitch, F, base, size, here, pitch, product, nx)
        else:
            clear(buffer, x1, nx)
        k = i - 1
        if k < 0:
            continue
        x2, below, here = (4 + k % 4) * pitch + MARGIN, ((k + 3) % 4) * pitch + MARGIN, (k % 4) * pitch + MARGIN
        if k < ny:
            combine(
                F, base, planes, size, k, pitch, buffer, x2, buffer, below, here, x1, F, at - pitch, w1, -w1, one, nx
            )
        else:
            clear(buffer, x2, nx)
        k = i - 2
        if k < 0:
            continue
        below, here, at, result = (
            ((k + 3) % 4 + 4) * pitch + MARGIN,
            (k % 4 + 4) * pitch + MARGIN,
            at - 2 * pitch,
            z + row(k, pitch),
        )
        combine(F, base, planes, size, k, pitch, F, result, buffer, below, here, x2, F, at, w2, -w2, one, nx)
        accumulated += dot(F, result, F, at, nx)
    return accumulated


@compiled
def coarsest(F, T, level, inverse):
    """z = A^-1 b by the dense inverse."""
    ny, nx, pitch, b, z = T[level, NY], T[level, NX], T[level, PITCH], T[level, RIGHT], T[level, RESULT]
    for i in range(ny):
        for j in range(nx):
            total = F[0] * 0
            for k in range(ny):
                total += dot(inverse, ((i * nx + j) * ny + k) * nx, F, b + row(k, pitch), nx)
            F[z + row(i, pitch) + j] = total


@compiled
def cycle(F, T, inverse, w1, w2, buffer, singles, pairs):
    """One V-cycle for the right-hand side of level 0; <b, z>."""
    levels = T.shape[0] - 1
    for level in range(levels):
        down(F, T, level, w1, w2, buffer)
    coarsest(F, T, levels, inverse)
    result = 0.0
    for level in range(levels - 1, -1, -1):
        result = up(F, T, level, w1, w2, buffer, singles, pairs)
    return result


@compiled
def matrix_row(S, planes, size, at, pitch, out, p, n):
    """out = S p along a row that starts at `at`, in double precision; <p, S p>."""
    e, w, no, so = U(size + at), U(size + at - 1), U(2 * size + at), U(2 * size + at - pitch)
    here, east, west, north, south = U(at), U(at + 1), U(at - 1), U(at + pitch), U(at - pitch)
    for j in range(U(n)):
        axis = S[e + j] * p[east + j] + S[w + j] * p[west + j] + S[no + j] * p[north + j] + S[so + j] * p[south + j]
        out[here + j] = S[here + j] * p[here + j] + axis
    if planes > 3:
        ne, nw = U(3 * size + at), U(4 * size + at)
        sw, se = U(3 * size + at - pitch - 1), U(4 * size + at - pitch + 1)
        n_e, n_w, s_e, s_w = U(at + pitch + 1), U(at + pitch - 1), U(at - pitch + 1), U(at - pitch - 1)
        for j in range(U(n)):
            upper = S[ne + j] * p[n_e + j] + S[nw + j] * p[n_w + j]
            out[here + j] += upper + S[sw + j] * p[s_w + j] + S[se + j] * p[s_e + j]
    return dot(p, at, out, at, n)


@compiled
def direction_row(x, p, F, z, s, at, n, step, alpha, beta):
    """x += step p, which was left from the step before, and p = alpha s z + beta p, along a row."""
    z, at = U(z), U(at)
    for j in range(U(n)):
        before = p[at + j]
        x[at + j] += step * before
        p[at + j] = alpha * s[at + j] * F[z + j] + beta * before


@compiled
def add_scaled(y, x, start, n, factor):
    """y += factor x; <y, y>."""
    start = U(start)
    for j in range(U(n)):
        y[start + j] += factor * x[start + j]
    return dot(y, start, y, start, n)


@compiled
def precondition(F, T, inverse, w1, w2, buffer, singles, pairs, s, r, norm):
    """A cycle for r, scaled to norm 1: z stays in F and is to be multiplied by `norm` s; <r, z>."""
    b, factor = U(T[0, RIGHT]), 1 / norm if norm > 0 else 0.0
    for j in range(U(len(r))):
        F[b + j] = factor * s[j] * r[j]
    return norm * norm * cycle(F, T, inverse, w1, w2, buffer, singles, pairs)


@compiled
def correction(F, T, s, norm, out):
    """The result of a cycle in `precondition`: norm s z."""
    for i in range(T[0, NY]):
        start, at, z = U(i * T[0, NX]), U(row(i, T[0, PITCH])), U(T[0, RESULT] + row(i, T[0, PITCH]))
        for j in range(U(T[0, NX])):
            out[start + j] = norm * s[at + j] * F[z + j]


@compiled
def conjugate_gradients(
    F, T, inverse, w1, w2, buffer, singles, pairs, S, planes, s, x, r, p, q, target, limit, history
):
    """Conjugate gradients from r = b - A x on the padded fields x, r, p, q, preconditioned by the cycle.

    Residual norms go to `history`. Returns the iterations taken and how it ended: 0 at the target, 1 at the limit, 2
    for an operator or cycle that is not positive definite, 3 for a number that is not finite.
    """
    ny, nx, pitch, z = T[0, NY], T[0, NX], T[0, PITCH], T[0, RESULT]
    size, n = (ny + 3) * pitch, len(r)
    norm, step, previous, iteration, end = math.sqrt(dot(r, 0, r, 0, n)), 0.0, 1.0, 0, 1
    history[0] = norm
    while True:
        if not math.isfinite(norm):
            end = 3
            break
        if norm <= target:
            end = 0
            break
        if iteration == limit:
            break
        rz = precondition(F, T, inverse, w1, w2, buffer, singles, pairs, s, r, norm)
        beta, curvature = (rz / previous if iteration > 0 else 0.0), 0.0
        for i in range(ny + 1):
            if i < ny:
                at = row(i, pitch)
                direction_row(x, p, F, z + at, s, at, nx, step, norm, beta)
            if i > 0:
                curvature += matrix_row(S, planes, size, row(i - 1, pitch), pitch, q, p, nx)
        step, previous = 0.0, rz
        if not (math.isfinite(curvature) and math.isfinite(rz)):
            end = 3
            break
        if not (curvature > 0 and rz > 0):
            end = 2
            break
        step, total = rz / curvature, 0.0
        for start in range(0, n, CHUNK):
            total += add_scaled(r, q, start, min(CHUNK, n - start), -step)
        norm = math.sqrt(total)
        iteration += 1
        history[iteration] = norm
    add_scaled(x, p, 0, n, step)
    return iteration, end


@compiled
def pad(field, out, ny, nx, pitch):
    """The values of a field put into its padded form."""
    for i in range(ny):
        start, at = U(i * nx), U(row(i, pitch))
        for j in range(U(nx)):
            out[at + j] = field[start + j]


@compiled
def unpad(padded, out, ny, nx, pitch):
    """The values of a padded field."""
    for i in range(ny):
        start, at = U(i * nx), U(row(i, pitch))
        for j in range(U(nx)):
            out[start + j] = padded[at + j]
