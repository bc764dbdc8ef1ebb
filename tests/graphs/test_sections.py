import pytest
import torch

from opnet.graphs.fractals.carpet import sierpinski_carpet
from opnet.graphs.fractals.hexaflake import hexaflake
from opnet.graphs.fractals.koch import koch_snowflake
from opnet.graphs.limit import Panels, integral_operator
from opnet.graphs.sections import section_operator

PANELS = Panels(torch.tensor([0.0, 0.1, 0.45, 0.5, 0.8, 1.0], dtype=torch.float64), 4)
POINTS = torch.tensor([0.02, 0.3, 0.5, 0.77], dtype=torch.float64)
U = torch.cat([PANELS.nodes, POINTS])


@pytest.mark.parametrize("W", [hexaflake(3), sierpinski_carpet(2), koch_snowflake(4)], ids=lambda W: W.name)
def test_polynomials_are_integrated_exactly_over_the_sections(W):
    T = section_operator(W, PANELS, U)
    sections = W.sections(U)
    assert len(sections.low) > len(U)
    for degree in range(4):
        high, low = sections.high ** (degree + 1), sections.low ** (degree + 1)
        expected = torch.zeros(len(U), dtype=torch.float64)
        expected.index_add_(0, sections.row, (high - low) / (degree + 1))
        g = U**degree
        g[len(PANELS.nodes) :] = 7.0  # weighs nothing
        torch.testing.assert_close(T @ g, expected, rtol=0, atol=1e-14)
        torch.testing.assert_close(T.T.to_dense().T @ g, expected, rtol=0, atol=1e-14)


def test_step_functions_on_the_panels_are_integrated_exactly():
    W, heights = koch_snowflake(3), torch.tensor([1.0, -2.0, 0.5, 3.0, 0.1], dtype=torch.float64)
    T = section_operator(W, PANELS, U)
    g = torch.cat([heights.repeat_interleave(4), torch.zeros(4, dtype=torch.float64)])
    sections, expected = W.sections(U), torch.zeros(len(U), dtype=torch.float64)
    for height, a, b in zip(heights, PANELS.edges[:-1], PANELS.edges[1:], strict=True):
        overlap = (sections.high.clamp(a, b) - sections.low.clamp(a, b)) * height
        expected.index_add_(0, sections.row, overlap)
    torch.testing.assert_close(T @ g, expected, rtol=0, atol=1e-14)


def test_the_integral_operator_of_a_fractal_is_this_one():
    W = hexaflake(2)
    T = integral_operator(W, PANELS, POINTS)
    torch.testing.assert_close(T.to_dense(), section_operator(W, PANELS, U).to_dense(), rtol=0, atol=0)
    single = integral_operator(W, PANELS, POINTS, dtype=torch.float32)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.to_dense().double(), T.to_dense(), rtol=0, atol=1e-7)


def test_points_have_to_begin_with_the_nodes():
    with pytest.raises(ValueError, match="nodes first"):
        section_operator(hexaflake(1), PANELS, POINTS)
