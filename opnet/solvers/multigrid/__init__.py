"""Multigrid: hierarchies of grids or of matrices, cycles over them, used as solver or preconditioner.

Belongs here: coarsening, transfer operators, smoothers that need a grid, and cycles. `Multigrid` and
`AlgebraicMultigrid` are linear solvers like any other. Everything is written in torch; `fused` and the kernels run the
commonest case again in compiled loops.
"""
