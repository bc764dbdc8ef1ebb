"""Linear systems A x = b: Krylov and stationary methods as values, and `solve_linear`.

Belongs here: methods that know nothing of grids, made of an operator's action, its diagonal or its matrix. A method is
a frozen value; `setup` binds it to an operator, the state solves, every solution carries a recomputed residual, and
gradients go through it by one solve with the adjoint.
"""
