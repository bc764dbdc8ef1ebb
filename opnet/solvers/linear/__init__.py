"""Linear systems A x = b: Krylov and stationary methods as values, and `solve_linear`.

Belongs here: methods that need an operator's action alone. A method is a frozen value; `setup` binds it to an operator,
the state solves, and every solution carries a recomputed residual.
"""
