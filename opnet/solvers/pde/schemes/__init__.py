"""Schemes that several problems share: how a semilinear periodic equation or a conservation law is advanced.

Belongs here: discretisations in space and time, free of any one equation's coefficients and random inputs.
"""
