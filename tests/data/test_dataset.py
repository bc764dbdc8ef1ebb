from dataclasses import replace

import pytest
from damage import write_darcy_files
from killed_generation import RECIPE

from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset
from opnet.data.generate import generate


def test_a_store_opens_as_splits(tmp_path):
    store = generate(replace(RECIPE, error_share=0.5), tmp_path)
    splits = open_dataset(tmp_path)
    assert (len(splits.train), len(splits.test), len(splits.at(32))) == (20, 4, 4)
    assert splits.resolutions == (16, 32)
    assert splits.test is splits.at(16)
    assert splits.digest == store.digest
    assert splits.provenance["equation"] == RECIPE.problem.equation
    assert splits.provenance["recipe"]["problem"]["class"] == "SinePoisson"
    assert "share of 0.5" in splits.notes[0]
    with pytest.raises(ValueError, match=r"resolution: expected one of \[16, 32\], found 64"):
        splits.at(64)
    with pytest.raises(ValueError, match="expected no options, as for any store, found problem"):
        open_dataset(tmp_path, problem="darcy")


def test_an_unfinished_store_is_refused(tmp_path):
    def interrupt(done, total, message=""):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(RECIPE, tmp_path, progress=interrupt)
    with pytest.raises(DataError, match="expected 20 samples of train at 16, found 4; run the generation again"):
        open_dataset(tmp_path)


def test_a_foreign_folder_is_recognised_by_its_names(tmp_path):
    write_darcy_files(tmp_path)
    assert open_dataset(tmp_path, train_resolution=4).resolutions == (4, 8)


def test_what_cannot_be_opened_says_what_was_expected(tmp_path):
    with pytest.raises(DataError, match=r"expected a store \(manifest\.json\) or the files of one format of"):
        open_dataset(tmp_path)
    with pytest.raises(DataError, match="found no folder"):
        open_dataset(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"unknown format 'neuraloperater' .did you mean 'neuraloperator'"):
        open_dataset(tmp_path, format="neuraloperater")
    with pytest.raises(ValueError, match=r"format neuraloperator: .* unexpected keyword argument 'resolution'"):
        open_dataset(tmp_path, format="neuraloperator", resolution=4)
