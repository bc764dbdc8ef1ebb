"""Ordinary differential equations: vector field, stepper (a tableau as data), step control, adjoint, `solve_ode`.

Belongs here: time integration of any right-hand side. Spatial discretisation belongs in `opnet.solvers.pde`.
"""
