import json

import pytest
from analytic_problem import SinePoisson

from opnet.cli.app import _exit_code
from opnet.data.generate import generate
from opnet.data.recipe import DataRecipe


@pytest.fixture
def store(tmp_path):
    recipe = DataRecipe(problem=SinePoisson(), n_train=6, n_test=2, train_resolution=8, shard_size=2)
    generate(recipe, tmp_path / "store")
    return tmp_path / "store"


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def test_a_sound_store_is_sound(store, capsys):
    assert _exit_code(["verify", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"path": str(store), "what": "store", "holds": "8 samples in 4 shards", "found": "sound", "error": None}
    ]


def test_every_damaged_shard_is_named(store, capsys):
    for start in (0, 4):
        flip(store / f"shards/train-8-{start:05d}.h5")
    assert _exit_code(["verify", str(store), "--quiet"]) == 1
    said = capsys.readouterr()
    assert said.err.count("expected sha256") == 2
    assert "expected all shards sound, found 2 of 4 damaged" in said.err
    assert "train-8-00000.h5" in said.err
    assert "train-8-00004.h5" in said.err
    assert "not sound" in said.out


def test_a_damaged_manifest_and_a_missing_shard_are_named(store, capsys):
    (store / "shards/test-8-00000.h5").unlink()
    assert _exit_code(["verify", str(store)]) == 1
    assert "found no file" in capsys.readouterr().err
    flip(store / "manifest.json")
    assert _exit_code(["verify", str(store)]) == 1
    assert "manifest.json: " in capsys.readouterr().err


def test_an_unfinished_store_is_not_sound(tmp_path, capsys):
    recipe = DataRecipe(problem=SinePoisson(), n_train=6, n_test=2, train_resolution=8, shard_size=2)

    def stop(done, total, message=""):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(recipe, tmp_path / "store", progress=stop)
    assert _exit_code(["verify", str(tmp_path / "store")]) == 1
    assert "expected 8 samples, found 4: it is unfinished" in capsys.readouterr().err


def test_what_is_nothing_is_wrong_input(tmp_path, capsys):
    assert _exit_code(["verify", str(tmp_path / "nothing")]) == 2
    assert "nothing: expected a store, data folder, checkpoint or run folder, found nothing" in capsys.readouterr().err
