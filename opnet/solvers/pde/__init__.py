"""Problems: one partial differential equation a file, with its random inputs, its solver and its error estimate.

Belongs here: what turns (seed, sample, resolution) into a solved sample. Writing samples down belongs in `opnet.data`.
"""
