"""Random functions on boxes: frozen values that draw the same function on every grid.

Belongs here: distributions of coefficients, forcings and initial states. What solves with them belongs in
`opnet.solvers.pde`.
"""
