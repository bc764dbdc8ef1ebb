"""Multigrid: hierarchies of grids, cycles over them, used as solver or preconditioner.

Belongs here: coarsening, transfer operators and cycles. `Multigrid` is a linear solver like any other; smoothers are
those of `opnet.solvers.linear`.
"""
