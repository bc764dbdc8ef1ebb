"""Data sets: generation, checksummed stores, foreign formats. The only room that imports h5py.

Belongs here: everything between a solver and a `Batch`. Nothing unverified ever stands at a final path.
"""
