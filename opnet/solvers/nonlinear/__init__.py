"""Nonlinear systems F(x) = 0 and fixed points x = g(x): methods as values, `solve_nonlinear` and `fixed_point`.

Belongs here: methods that need a residual map and its derivatives alone. A method is a frozen value; every batch
element converges on its own, and gradients come from the implicit function theorem.
"""
