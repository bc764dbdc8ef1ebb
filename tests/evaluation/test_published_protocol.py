import pytest

from opnet.evaluation.published_protocol import published_study, reference_bias
from opnet.graphs.graphons import hsbm, tent


def test_the_slope_is_that_of_the_protocol_and_not_of_the_operator():
    study = published_study(tent(), range(550, 1951, 350), range(3))
    assert abs(study.order + 1.06) < 0.08
    assert study[""].errors.min() > 1e-3


@pytest.mark.parametrize("order", [-0.5, -1.0])
def test_a_finite_reference_makes_slopes_steeper(order):
    sizes = [100, 200, 400]
    biases = [reference_bias(order, sizes, N) for N in (500, 2000, 10**12)]
    assert biases[0] < biases[1] < -1e-3 < biases[2] <= 0


def test_the_reference_must_be_the_largest():
    with pytest.raises(ValueError, match="below the reference's 100, found 200"):
        published_study(hsbm(2), [50, 75, 200], [0], reference=100)
