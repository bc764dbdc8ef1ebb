"""A round dam break by its own one-dimensional equations: independent of the square grid."""

from __future__ import annotations

import numpy as np
import torch

from opnet.solvers.pde.schemes.finite_volume import FiniteVolume
from opnet.solvers.pde.schemes.saint_venant import SaintVenant


def radial_dam_break(radius, h_in, h_out, time, *, cells=4096, reach=3.75):
    """(r, h, v) of `h_t + (h v)_r = -h v / r`, `(h v)_t + (h v^2 + h^2 / 2)_r = -h v^2 / r`, of cell midpoints r."""
    spacing = reach / cells
    r = (torch.arange(cells, dtype=torch.float64) + 0.5) * spacing
    share = ((radius - (r - spacing / 2)) / spacing).clamp(0, 1)  # of the cell that lies in the column
    u = torch.stack([h_out + (h_in - h_out) * share, torch.zeros_like(r)])[None]

    def source(w, t):
        return torch.stack([-w[0] * w[1] / r, -w[0] * w[1] ** 2 / r])

    scheme = FiniteVolume(SaintVenant(1.0), (spacing,), "wall", source=source)
    h, q = scheme.march(u, (0.0, time)).states[0, -1].numpy()
    return r.numpy(), h, q / h


def square_means(radial, grid, points=8):
    """(h, v_x, v_y) of the cell means of mass and momentum on a square grid; (3, *grid)."""
    n = grid.shape[0]
    dense = grid.resized(points * n)
    x, y = dense.coordinates().numpy()
    r = np.hypot(x, y)
    h, v = (np.interp(r, radial[0], values) for values in radial[1:])
    u = np.stack([h, h * v * x / r, h * v * y / r]).reshape(3, n, points, n, points).mean((2, 4))
    return torch.from_numpy(np.stack([u[0], u[1] / u[0], u[2] / u[0]]))
