import pytest

from opnet.graphs import graphons

NAN = float("nan")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: graphons.hsbm(0), "expected 1 to 12 levels, found 0"),
        (lambda: graphons.checkerboard(1), "expected at least 2"),
        (lambda: graphons.hoelder_tent(1.0), "between 0 and 1"),
        (lambda: graphons.band(1.0), "a share between 0 and 1"),
        (lambda: graphons.weierstrass(0.0), "between 0 and 1"),
        (lambda: graphons.stochastic_block([[1.0, 0.5]]), "expected a square matrix"),
        (lambda: graphons.stochastic_block([[0.1, 0.5], [0.4, 0.1]]), r"found 0.5 at \(0, 1\) and 0.4"),
        (lambda: graphons.stochastic_block([[1.2]]), r"values in \[0, 1\], found 1.2"),
        (lambda: graphons.stochastic_block([[NAN]]), r"values in \[0, 1\], found nan"),
        (lambda: graphons.stochastic_block([[1.0, 0.0], [0.0, 1.0]], [0.5, 0.6]), "add up to 1"),
        (lambda: graphons.from_function(lambda x, y: max(x, y)), "tensors that broadcast, found RuntimeError"),
        (lambda: graphons.from_function(lambda x, y: 0.5), "expected a vectorised function.*found float"),
        (lambda: graphons.from_function(lambda x, y: (x + y).flatten()), r"a tensor \(41, 41\), found \(1681,\)"),
        (lambda: graphons.from_function(lambda x, y: x + y), r"values in \[0, 1\], found .* to 2"),
        (lambda: graphons.from_function(lambda x, y: x + 0 * y), r"W\(x, y\) = W\(y, x\)"),
        (lambda: graphons.from_function(lambda x, y: (x - y).abs(), smooth=True), "polynomials to miss"),
        (lambda: graphons.from_function(lambda x, y: x * y, smooth=True, kink=1), "kink: expected None"),
        (lambda: graphons.from_function(lambda x, y: x * y, kink=-1), "expected a positive power"),
    ],
)  # fmt: skip
def test_what_is_no_graphon_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
