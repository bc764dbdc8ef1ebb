"""Adjoints that do without the graph of the solve. Belongs here: ways to differentiate a solution, one a file."""
