import json
from dataclasses import replace

import pytest
from analytic_problem import SineHeat
from damage import write_darcy_files
from fault_injection import flip_bit
from killed_generation import RECIPE

from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset
from opnet.data.describe import describe
from opnet.data.generate import generate


def test_a_store_is_described_as_plain_data(tmp_path):
    generate(RECIPE, tmp_path)
    content, data = describe(tmp_path), open_dataset(tmp_path).train
    json.dumps(content, allow_nan=False)
    assert content["name"] == "killed"
    assert content["resolutions"] == [16, 32]
    train, values = content["train"], data.all().targets
    assert train["samples"] == 20
    assert train["targets"]["shape"] == [1, 16]
    assert train["targets"]["greatest"] == float(values.max())
    assert train["targets"]["mean"] == pytest.approx(float(values.double().mean()))
    assert train["discretisation_error"]["median"] == pytest.approx(float(data.discretisation_error.quantile(0.5)))
    assert train["residual"]["known"] == 20
    assert content["test at 32"]["grid"] == RECIPE.problem.grid(32).describe()
    assert content["provenance"]["recipe_digest"] == RECIPE.digest


def test_a_foreign_folder_is_described_in_the_same_form(tmp_path):
    write_darcy_files(tmp_path)
    content = describe(tmp_path, format="neuraloperator", train_resolution=4)
    assert content["train"]["discretisation_error"] == "not stated"
    assert set(content["provenance"]["sha256"]) == {"darcy_train_4.pt", "darcy_test_4.pt", "darcy_test_8.pt"}
    assert content["notes"]


def test_damage_anywhere_is_found(tmp_path):
    generate(RECIPE, tmp_path)
    flip_bit(tmp_path / "shards/test-32-00000.h5", 8 * 2000)
    with pytest.raises(DataError, match=r"test-32-00000\.h5"):
        describe(tmp_path)


def test_times_and_diagnostics_are_described(tmp_path):
    generate(replace(RECIPE, problem=SineHeat()), tmp_path)
    content = describe(tmp_path)
    assert content["train"]["times"] == {"frames": 3, "first": 0.0, "last": 0.02}
    assert content["train"]["energy"]["known"] == 20
    assert content["train"]["residual"] == "not stated"
    assert content["provenance"]["diagnostics"] == SineHeat.diagnostics
