import pytest

from opnet.spaces.fields.node_noise import NodeNoise
from opnet.spaces.grid import Grid


def test_nodes_are_independent():
    g = NodeNoise(2.0).sample(0, range(40), Grid((20, 20), nodes="cell"))
    assert float(g.std()) == pytest.approx(2, rel=0.05)
    assert float((g[:, 1:] * g[:, :-1]).mean()) == pytest.approx(0, abs=0.15)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="sigma"):
        NodeNoise(0.0)
