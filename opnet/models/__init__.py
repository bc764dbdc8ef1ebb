"""Models that learn: operators between functions on grids, and continuous-depth networks on graphs.

Belongs here: `nn.Module`s that run the same weights on any admissible discretisation; layers they share lie in
`models/blocks`. A model never loads, normalises or logs.
"""
