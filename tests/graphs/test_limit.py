import pytest
import torch

from opnet.graphs import graphons
from opnet.graphs.limit import Panels, integral_operator


@pytest.mark.parametrize("a", [0.5, 0.3])
def test_kinks_of_any_power_are_integrated_to_rounding(a):
    W, panels = graphons.hoelder_tent(a), Panels.smooth(graphons.hoelder_tent(a))
    points = torch.tensor([0.0, 0.01, 0.37, 0.5, 1.0], dtype=torch.float64)
    # integral of (1 - |u - v|^a) v dv
    u, p = points, 1 + a
    exact = 0.5 - (u * (1 - u) ** p / p + (1 - u) ** (p + 1) / (p + 1) + u ** (p + 1) / p - u ** (p + 1) / (p + 1))
    g = torch.cat([panels.nodes, points])
    found = integral_operator(W, panels, points).apply(g)[-5:]
    torch.testing.assert_close(found, exact, rtol=0, atol=3e-12)


def test_panels_end_where_blocks_end_and_crowd_at_singular_points():
    uneven = graphons.stochastic_block([[1.0, 0.2], [0.2, 0.5]], [0.3, 0.7])
    assert bool((Panels.smooth(uneven).edges - 0.3).abs().min() < 1e-15)
    assert len(Panels.merged(uneven, 10).edges) == 11  # 0.3 is an end of both
    assert len(Panels.merged(uneven, 7).edges) == 9
    assert len(Panels.merged(uneven, 7, refinement=3).edges) == 23
    assert Panels.smooth(graphons.square_and_root()).edges[1] < 1e-11


@pytest.mark.parametrize("W", [graphons.square_and_root(), graphons.exponential_of_powers()], ids=lambda W: W.name)
def test_integrals_of_singular_graphons_are_exact(W):
    panels = Panels.smooth(W)
    u = torch.tensor([0.25], dtype=torch.float64)
    one = torch.ones(len(panels.nodes) + 1, dtype=torch.float64)
    found = float(integral_operator(W, panels, u).apply(one)[-1])
    t = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000  # v = t^4, smooth
    assert found == pytest.approx(float((W(u, t**4) * 4 * t**3).mean()), abs=1e-8)
