"""Linear operators that are applied, not stored: dense, sparse, low-rank, stencil, composed.

Belongs here: every `LinearOperator`, batched over leading dimensions, on any device. Inverting one belongs in
`opnet.solvers`.
"""
