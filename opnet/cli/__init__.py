"""The command line: recipes become objects, jobs run in folders, progress goes to stderr.

Belongs here: typer commands, reading recipes, run folders, progress bars. Nothing below imports from here.
"""
