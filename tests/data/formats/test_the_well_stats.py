import numpy as np
import pytest

from opnet.core.errors import DataError
from opnet.data.formats.the_well_stats import Moments, emit_stats, parse_stats

STATS = {
    "mean": {"pressure": 1e-05, "velocity": [0.5, -3.0], "stress": [[1.0, 2e-300], [3e22, -0.1]]},
    "std": {"pressure": 0.0},
}


def test_what_is_written_is_read_back_here_and_by_yaml():
    text = emit_stats(STATS)
    assert parse_stats(text, "stats.yaml") == STATS
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(text) == STATS
    assert parse_stats(yaml.safe_dump(STATS), "stats.yaml") == STATS


@pytest.mark.parametrize(
    "text",
    [
        "mean: !!python/object/apply:os.system [ls]\n",
        "mean:\n  u: &a 1.0\n",
        "mean:\n  u: *a\n",
        "mean:\n  u: !!float 1.0\n",
        "mean:\n  u: [1.0, 2.0]\n",
        'mean:\n  u: "1.0"\n',
        "mean:\n  u: .nan\n",
        "mean:\n  u: 1e999\n",
        "mean:\n  u: 1.0 # one\n",
        "mean:\n\tu: 1.0\n",
        "mean:\n  u: 1.0\n  u: 2.0\n",
        "mean:\n  u: 1.0\nmean:\n  v: 1.0\n",
        "mean:\n  u: 1.0\n  - 2.0\n",
        "mean:\n  u:\n  - 1.0\n    - 2.0\n",
        "mean:\n  u:\n  - - 1.0\n  - 2.0\n",
        "mean:\n  u:\n  - - 1.0\n    - 2.0\n  - - 3.0\n",
        "mean:\n  u:\nstd:\n",
        "- mean\n",
        "",
        "\n",
        "%YAML 1.1\n---\nmean:\n  u: 1.0\n",
    ],
)
def test_everything_else_is_refused_by_line(text):
    with pytest.raises(DataError, match=r"stats\.yaml: "):
        parse_stats(text, "stats.yaml")


def test_moments_of_blocks_are_those_of_the_whole():
    values = 1e6 + np.random.default_rng(0).random((9, 4, 2, 3))
    moments = Moments()
    for block in (values[:2], values[2:3], values[3:]):
        moments.add(block, 2)
    found = moments.results()
    np.testing.assert_allclose(found["mean"], values.mean((0, 1)), rtol=1e-14)
    np.testing.assert_allclose(found["std"], values.std((0, 1)), rtol=1e-8)
    np.testing.assert_allclose(found["rms"], np.sqrt((values**2).mean((0, 1))), rtol=1e-14)
