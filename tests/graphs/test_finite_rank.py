import torch

from opnet.graphs import graphons


def test_weierstrass_is_as_rough_as_it_says():
    # The mean square of increments falls as h^(2a).
    f = graphons.weierstrass(0.5).half
    u = torch.rand(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 2
    rms = torch.stack([(f(u + h) - f(u)).square().mean().sqrt() for h in (2.0**-6, 2.0**-8, 2.0**-10)])
    assert (rms[:-1] / rms[1:] - 2).abs().max() < 0.1
    assert 0 <= f(u).min() <= f(u).max() <= 0.5
