"""Graphons that are 1 on a fractal: described by the recursion that makes it, never by a raster.

Belongs here: the recursion on convex pieces, and a file for each fractal. Sums over what it finds are in
`opnet.graphs.runs`.
"""
