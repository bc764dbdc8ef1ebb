"""Shared numerical solvers, in the order linear < multigrid < nonlinear < ode < pde.

Belongs here: everything that solves an equation, on CPU and GPU, batched, with a status per batch element. Used by
models, by data generation, and directly by people.
"""
