"""Where functions live: grids, quadrature and norms, transforms, interpolation, symmetries, random fields.

Belongs here: geometry and function spaces on grids, with nothing that solves or learns. Values travel as tensors of
shape (batch, channel, *grid) beside a `Grid` that says where they sit.
"""
