"""Every measured order, of every group of problems."""

from pde_orders import conservation, elliptic, ordinary, periodic, spectral

CASES = [*elliptic.CASES, *spectral.CASES, *ordinary.CASES, *periodic.CASES, *conservation.CASES]
