import numpy as np
import pytest

from opnet.data.formats.layout import Layout


def test_axes_are_arranged_by_their_letters():
    values = np.random.default_rng(0).random((2, 3, 4, 5, 6))  # t, y, c, n, x
    layout = Layout("tycnx", values.shape)
    block = values[layout.select(1, 4, 1)]
    np.testing.assert_array_equal(layout.arrange(block, (6, 3)), values[1, :, :, 1:4].transpose(2, 1, 3, 0))
    assert (layout.components, layout.length("x"), layout.length("z")) == (4, 6, 1)


def test_tensors_have_rows_first():
    values = np.random.default_rng(0).random((2, 3, 4, 4))
    arranged = Layout("nxcc", values.shape).arrange(values, (3,))
    np.testing.assert_array_equal(arranged[:, 7], values[:, :, 1, 3])


@pytest.mark.parametrize(("axes", "shape"), [("nn", (1, 1)), ("nq", (1, 1)), ("n", (1, 2))])
def test_a_layout_is_consistent(axes, shape):
    with pytest.raises(AssertionError):
        Layout(axes, shape)


def test_what_needs_no_arranging_is_known():
    natural = [("ntxy", (2, 5, 3, 4)), ("nxyt", (2, 3, 4, 5)), ("xy", (3, 4))]
    other = [("nyx", (2, 4, 3)), ("nxyc", (2, 3, 4, 1)), ("nx", (2, 3)), ("nxy", (2, 3, 1)), ("xyn", (3, 4, 2))]
    for axes, shape in natural:
        values = np.random.default_rng(0).random(shape)
        layout = Layout(axes, shape)
        block = values[layout.select(0, layout.length("n"), 0)]
        assert layout.is_natural((3, 4))
        np.testing.assert_array_equal(layout.arrange(block, (3, 4)).ravel(), block.ravel())
    assert not any(Layout(axes, shape).is_natural((3, 4)) for axes, shape in other)
