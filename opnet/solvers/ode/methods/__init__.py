"""Methods of time integration, one family a file: tableaux as data, and one step as a pure function.

Belongs here: what one step does. How far to go, and what is kept, belongs to the loops above.
"""
