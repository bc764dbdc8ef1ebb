"""`GraphFilter`: one filter layer on a graph."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from opnet.core.typing import Float
from opnet.linops.base import LinearOperator
from opnet.models.blocks.time_basis import TimeBasis


class GraphFilter(nn.Module):
    """`Y^f = rho( sum_g sum_{k<K} h_k^{fg}(t) S^k X^g + b^f )` with `h_k^{fg}(t) = sum_m c_m(t) theta_mk^{fg}`.

    Signals are (node, batch, feature), so that S meets one matrix of columns.

    Args:
        in_features, out_features: g and f.
        taps: K; 2 means {I, S}.
        activation: rho; None for a linear layer.
        basis: the c_m.

    The weights start uniform in +-1 / sqrt(K g), the biases too.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        taps: int,
        activation: Callable[[Tensor], Tensor] | None,
        basis: TimeBasis,
    ) -> None:
        super().__init__()
        self.activation, self.basis = activation, basis
        self.weight = nn.Parameter(torch.empty(basis.terms, taps, in_features, out_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        _, taps, in_features, _ = self.weight.shape
        bound = (taps * in_features) ** -0.5
        for parameter in (self.weight, self.bias):
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def coefficients(self, t: Tensor) -> Float[Tensor, "taps in_features out_features"]:
        """H(t)."""
        if self.basis.kind == "constant":
            return self.weight[0]
        return torch.tensordot(self.basis(t), self.weight, dims=1)

    def forward(
        self, shift: LinearOperator, X: Float[Tensor, "node batch in_features"], t: Tensor
    ) -> Float[Tensor, "node batch out_features"]:
        H = self.coefficients(t)
        taps, in_features, out_features = H.shape
        if in_features <= out_features:
            # Shift the few inputs; each power is mixed onto the sum of those before it.
            power = X.reshape(-1, in_features)
            Y = torch.addmm(self.bias, power, H[0])
            for h in H[1:].unbind():
                power = shift.columns(power.reshape(len(X), -1)).reshape(-1, in_features)
                Y.addmm_(power, h)
            Y = Y.view(*X.shape[:-1], out_features)
        else:
            # Mix first, so that only the few outputs are shifted (Horner's rule in S).
            mixed = X @ H.transpose(0, 1).reshape(in_features, taps * out_features)
            terms = mixed.split(out_features, -1)
            Y = terms[-1]
            for term in terms[-2::-1]:
                Y = _shifted(shift, Y) + term
            Y = Y + self.bias
        return Y if self.activation is None else self.activation(Y)


def _shifted(shift: LinearOperator, X: Tensor) -> Tensor:
    return shift.columns(X.flatten(1)).view_as(X)
