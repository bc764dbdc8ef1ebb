"""Graphs and their infinite-node limits: graphons, sampling, shift operators.

Belongs here: `Graph`, `Graphon`, the rules that sample one from the other, and the shift operators (linear operators)
that graph models apply. Dynamics on graphs belong in `opnet.models` where they are learned, and in `opnet.solvers.pde`
where they are given.
"""
