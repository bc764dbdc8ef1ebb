"""The hierarchy of `kernels`: operator-dependent interpolation, Galerkin operators, their scaled form.

What `Interpolation` and `smoothing_diagonal` define, for two axes that do not wrap. A matrix S is three or five planes
in double precision: its diagonal, and its couplings to the east, the north, the north-east and the north-west. numba's
cache follows this file alone: after a change of `row` in `kernels`, touch it.
"""

from __future__ import annotations

import math

import numpy as np

from opnet.solvers.multigrid.kernels import MARGIN, U, clear, compiled, row


@compiled
def interpolation(S, planes, ny, nx, pitch, P, n_rows, n_columns, coarse_pitch):
    """P of `Interpolation`, in nine planes of the coarse level; S: diagonal, east, north, north-east, north-west."""
    size, coarse_size = (ny + 3) * pitch, (n_rows + 3) * coarse_pitch
    e, n, ne, nw = size, 2 * size, 3 * size, 4 * size
    for Y in range(n_rows):
        for X in range(n_columns):
            P[4 * coarse_size + row(Y, coarse_pitch) + X] = 1.0
        # between coarse nodes of a row: from the west (plane 5) and from the east (plane 3)
        at, k = row(Y, coarse_pitch), row(2 * Y + 1, pitch)
        for X in range((nx + 1) // 2):
            j = k + 2 * X
            west, east, centre = S[e + j - 1], S[e + j], S[j] + S[n + j] + S[n + j - pitch]
            if planes > 3:
                west += S[nw + j] + S[ne + j - pitch - 1]
                east += S[ne + j] + S[nw + j - pitch + 1]
            d = centre if west == 0 or east == 0 else -(west + east)
            scale = -1 / d if d != 0 else 0.0
            P[5 * coarse_size + at + X - 1] = scale * west
            P[3 * coarse_size + at + X] = scale * east
        P[5 * coarse_size + at - 1] = 0
        P[3 * coarse_size + at + n_columns] = 0
    for Y in range((ny + 1) // 2):
        # between rows of coarse nodes: from the south (planes 6 to 8, of the row below) and from the north (0 to 2)
        at, k = row(Y, coarse_pitch), row(2 * Y, pitch)
        below = at - coarse_pitch
        for X in range(n_columns):
            j = k + 2 * X + 1
            south, north, centre = S[n + j - pitch], S[n + j], S[j] + S[e + j] + S[e + j - 1]
            if planes > 3:
                south += S[ne + j - pitch - 1] + S[nw + j - pitch + 1]
                north += S[ne + j] + S[nw + j]
            d = centre if south == 0 or north == 0 else -(south + north)
            scale = -1 / d if d != 0 else 0.0
            P[7 * coarse_size + below + X] = scale * south
            P[coarse_size + at + X] = scale * north
        for X in range((nx + 1) // 2):
            j = k + 2 * X
            west, east, south, north = S[e + j - 1], S[e + j], S[n + j - pitch], S[n + j]
            corner_sw, corner_se, corner_nw, corner_ne = 0.0, 0.0, 0.0, 0.0
            if planes > 3:
                corner_sw, corner_ne, corner_nw, corner_se = (
                    S[ne + j - pitch - 1],
                    S[ne + j],
                    S[nw + j],
                    S[nw + j - pitch + 1],
                )
            d = S[j]
            left, right = west + corner_sw + corner_nw, east + corner_se + corner_ne
            below_it, above_it = south + corner_sw + corner_se, north + corner_nw + corner_ne
            if left != 0 and right != 0 and below_it != 0 and above_it != 0:
                d = -(west + east + south + north + corner_sw + corner_se + corner_nw + corner_ne)
            scale = -1 / d if d != 0 else 0.0
            # what the edges beside it take of each corner: planes 5, 3 of the rows below and above, 7, 1 left and right
            w, f = below + X - 1, below + X
            P[8 * coarse_size + w] = scale * (
                corner_sw + south * P[5 * coarse_size + w] + west * P[7 * coarse_size + w]
            )
            P[6 * coarse_size + f] = scale * (
                corner_se + south * P[3 * coarse_size + f] + east * P[7 * coarse_size + f]
            )
            w, f = at + X - 1, at + X
            P[2 * coarse_size + w] = scale * (corner_nw + north * P[5 * coarse_size + w] + west * P[coarse_size + w])
            P[f] = scale * (corner_ne + north * P[3 * coarse_size + f] + east * P[coarse_size + f])
    for plane in range(9):  # nothing for coarse nodes that are not there
        base = plane * coarse_size
        clear(P, base, coarse_pitch)
        clear(P, base + row(n_rows, coarse_pitch) - MARGIN, 2 * coarse_pitch)
        for Y in range(n_rows):
            at = base + row(Y, coarse_pitch)
            P[at - 1] = 0
            clear(P, at + n_columns, coarse_pitch - MARGIN - n_columns)


@compiled
def neighbours(size, pitch):
    """Rows of (dr, dc, offset): the coupling of node j with the one dr rows and dc columns on is S[offset + j].

    The first five are of planes 0 to 2, the others of planes 3 and 4.
    """
    Q = np.zeros((9, 3), np.int64)
    Q[1] = 0, 1, size
    Q[2] = 0, -1, size - 1
    Q[3] = 1, 0, 2 * size
    Q[4] = -1, 0, 2 * size - pitch
    Q[5] = 1, 1, 3 * size
    Q[6] = -1, -1, 3 * size - pitch - 1
    Q[7] = 1, -1, 4 * size
    Q[8] = -1, 1, 4 * size - pitch + 1
    return Q


@compiled
def add_image(v, o, S, s, P, p, n):
    """v += S P for every second entry of S."""
    o, s, p, two = U(o), U(s), U(p), U(2)
    for X in range(U(n)):
        v[o + X] += S[s + two * X] * P[p + X]


@compiled
def add_product(C, o, v, i, P, p, n):
    o, i, p = U(o), U(i), U(p)
    for X in range(U(n)):
        C[o + X] += v[i + X] * P[p + X]


@compiled
def galerkin(S, planes, ny, pitch, P, C, n_rows, n_columns, coarse_pitch):
    """C = P^T S P in five planes, zero on entry.

    Row by row of coarse nodes I: v[r, c] is the image of their basis functions at the fine nodes r - 1 rows and c - 2
    columns on, and C couples I with J by v times the weights of J there.
    """
    coarse_size, Q = (n_rows + 3) * coarse_pitch, neighbours((ny + 3) * pitch, pitch)
    v, n = np.zeros(20 * n_columns), n_columns
    for Y in range(n_rows):
        at = row(Y, coarse_pitch)
        clear(v, 0, len(v))
        for r in range(4):
            fine = row(2 * Y + r, pitch) - 1
            for c in range(0 if r >= 2 else 1, 5):
                for k in range(9 if planes > 3 else 5):
                    i, j = r + Q[k, 0], c - 1 + Q[k, 1]
                    if 0 <= i <= 2 and 0 <= j <= 2:
                        weights = (3 * i + j) * coarse_size + at
                        add_image(v, (5 * r + c) * n, S, Q[k, 2] + fine + c, P, weights, n)
        for r in range(4):
            for c in range(5):
                # in the support of the node itself, and of those to the east, north, north-east and north-west
                image, north = (5 * r + c) * n, at + coarse_pitch
                if r <= 2 and 1 <= c <= 3:
                    add_product(C, at, v, image, P, (3 * r + c - 1) * coarse_size + at, n)
                if r <= 2 and c >= 3:
                    add_product(C, coarse_size + at, v, image, P, (3 * r + c - 3) * coarse_size + at + 1, n)
                if r >= 2 and 1 <= c <= 3:
                    add_product(C, 2 * coarse_size + at, v, image, P, (3 * (r - 2) + c - 1) * coarse_size + north, n)
                if r >= 2 and c >= 3:
                    add_product(
                        C, 3 * coarse_size + at, v, image, P, (3 * (r - 2) + c - 3) * coarse_size + north + 1, n
                    )
                if r >= 2 and c <= 1:
                    add_product(
                        C, 4 * coarse_size + at, v, image, P, (3 * (r - 2) + c + 1) * coarse_size + north - 1, n
                    )


@compiled
def scaling(S, planes, ny, nx, pitch, s):
    """s = d^(-1/2) with d the smoother's diagonal (`smoothing_diagonal`); whether d is the diagonal everywhere.

    s is 1 on entry, and stays so off the grid.
    """
    size, most = (ny + 3) * pitch, -math.inf
    e, n, ne, nw = size, 2 * size, 3 * size, 4 * size
    for i in range(ny):
        for j in range(row(i, pitch), row(i, pitch) + nx):
            total = abs(S[e + j]) + abs(S[e + j - 1]) + abs(S[n + j]) + abs(S[n + j - pitch])
            if planes > 3:
                total += abs(S[ne + j]) + abs(S[ne + j - pitch - 1]) + abs(S[nw + j]) + abs(S[nw + j - pitch + 1])
            total = 0.5 * (total + abs(S[j]))
            most = max(most, total - S[j] * (1 + 1e-12))
            s[j] = 1 / math.sqrt(max(total, S[j]))
    return most <= 0


@compiled
def scaled(S, planes, ny, nx, pitch, s, F, base):
    """The couplings of a level in single precision, scaled."""
    size = (ny + 3) * pitch
    for i in range(ny):
        at = row(i, pitch)
        for j in range(at, at + nx):
            F[base + j] = S[size + j] * s[j] * s[j + 1]
        for j in range(at, at + nx):
            F[base + size + j] = S[2 * size + j] * s[j] * s[j + pitch]
        if planes > 3:
            for j in range(at, at + nx):
                F[base + 2 * size + j] = S[3 * size + j] * s[j] * s[j + pitch + 1]
            for j in range(at, at + nx):
                F[base + 3 * size + j] = S[4 * size + j] * s[j] * s[j + pitch - 1]
            for j in range(at, at + nx):
                F[base + 4 * size + j] = S[j] * s[j] * s[j] - 1


@compiled
def scaled_interpolation(P, n_rows, n_columns, coarse_pitch, pitch, s, s_coarse, F, base):
    """The interpolation in single precision, between scaled unknowns: P / s times the coarse s."""
    coarse_size = (n_rows + 3) * coarse_pitch
    for Y in range(n_rows):
        at = row(Y, coarse_pitch)
        for r in range(3):
            k = row(2 * Y + r, pitch)
            for c in range(3):
                plane = (3 * r + c) * coarse_size
                for X in range(n_columns):
                    F[base + plane + at + X] = P[plane + at + X] * s_coarse[at + X] / s[k + 2 * X + c]
