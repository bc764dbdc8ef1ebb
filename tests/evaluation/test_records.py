import json

import pytest

from opnet.core.errors import DataError
from opnet.evaluation.records import provenance, read_results, record, results


def test_records_are_flat_and_in_the_vocabulary():
    assert record("x", 1, seed=None, n=3) == {"name": "x", "value": 1.0, "n": 3}
    with pytest.raises(ValueError, match=r"expected labels among .*found \['size'\]"):
        record("x", 1, size=3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_result_is_a_finite_number(value):
    with pytest.raises(ValueError, match="expected a finite value"):
        record("x", value)


def test_provenance_names_no_folder_and_no_host(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/opnet", "run", str(tmp_path / "a.toml"), "--seed", "1"])
    meta = provenance(seed=1, dataset="abc")
    assert meta["command"] == "opnet run a.toml --seed 1"
    assert str(tmp_path) not in json.dumps(meta)
    assert {"commit", "dirty", "seed", "dataset", "machine", "versions"} <= meta.keys()


def test_results_are_read_back(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(results([record("x", 1.0)], {"seed": 0}))
    assert read_results(path) == ({"seed": 0}, [{"name": "x", "value": 1.0}])
    path.write_text('{"records": []}')
    with pytest.raises(DataError, match="expected a results file"):
        read_results(path)
