"""Linear operators that are applied, not stored: dense, sparse, low-rank, diagonal, stencils and diffusion on grids,
spectral and convolution, functions and Jacobians, composed.

Belongs here: every `LinearOperator`, batched over leading dimensions, on any device. Inverting one belongs in
`opnet.solvers`.
"""
