import pytest
from mutated_headers import LOADERS, try_mutations


@pytest.mark.parametrize(
    "name", ["store", "single_file", *(pytest.param(n, marks=pytest.mark.slow) for n in [*LOADERS][2:])]
)
def test_changed_headers_end_in_a_data_error_or_in_data(tmp_path, name):
    trials = try_mutations(name, tmp_path / name, 3, 50)
    assert trials.failures == []
    assert trials.refused > 5
