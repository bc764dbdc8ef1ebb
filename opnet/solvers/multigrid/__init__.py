"""Multigrid: hierarchies of grids or graphs, cycles over them, used as solver or preconditioner.

Belongs here: coarsening, transfer operators, smoothers and cycles. `Multigrid` is a linear solver like any other.
"""
