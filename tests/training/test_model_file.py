import json

import pytest
import torch
from small_training import data, model, weights
from torch import nn

from opnet.core.errors import DataError
from opnet.models.normalised import Normalised
from opnet.training.model_file import BLANK, load_model, model_bytes, save_model, tensor_bytes
from opnet.training.seal import seal


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(Normalised(model(), *data().statistics()), path)
    return path


def test_a_model_comes_back_with_every_byte(path):
    original = Normalised(model(), *data().statistics())
    state = torch.get_rng_state()
    loaded = load_model(path)
    assert torch.equal(torch.get_rng_state(), state)
    assert loaded.config == original.config
    assert weights(loaded) == weights(original)
    assert torch.equal(loaded(data().inputs, data().domain), original(data().inputs, data().domain))


def test_equal_models_are_equal_files_and_precision_is_kept(path):
    assert model_bytes(load_model(path)) == path.read_bytes()
    double = model().double()
    save_model(double, path)
    loaded = load_model(path)
    assert {p.dtype for p in loaded.parameters()} == {torch.float64}
    assert weights(loaded) == weights(double)


def test_other_readers_can_open_it(path):
    from safetensors.torch import load_file

    assert load_file(path).keys() == Normalised(model(), *data().statistics()).state_dict().keys()


def test_no_flipped_bit_and_no_truncation_goes_unseen(path):
    content = path.read_bytes()
    places = [*range(0, len(content), max(1, len(content) // 300)), *range(0, 1000, 7)]
    for place in places:
        for bit in (0, 5):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(DataError, match=str(path)):
                load_model(path)
    for length in (0, 4, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=str(path)):
            load_model(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(DataError):
        load_model(path)


def sealed(architecture, tensors=None, **changes):
    header = {"sha256": BLANK, "format": "opnet-model", "version": 1, "config": architecture, **changes}
    tensors = model().state_dict() if tensors is None else tensors
    return seal(tensor_bytes(tensors, {"opnet": json.dumps(header)}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class": "os.system"}, "unknown model 'os.system'"),
        ({"class": None}, "expected a key 'class', found none|unknown model"),
        ({"command": "rm"}, "unexpected keyword argument 'command'"),
        ({"width": 10**7}, r"of shape \(.*10000000"),
        ({"layers": 10**9}, "more than the file holds"),
        ({"layers": 2}, "on one side only"),
        ({"width": "wide"}, "."),
    ],
)
def test_hostile_configs_build_nothing(path, changes, message):
    path.write_bytes(sealed({**model().config, **changes}))
    with pytest.raises(DataError, match=message):
        load_model(path)


def test_weights_must_be_those_of_the_architecture(path):
    tensors = model().state_dict()
    first = next(iter(tensors))
    for change, message in (
        ({**tensors, "extra": torch.zeros(1)}, "'extra'"),
        ({**tensors, first: tensors[first].double()}, "torch.float64"),
        ({**tensors, first: torch.full_like(tensors[first], float("nan"))}, "found NaN or Inf"),
    ):
        path.write_bytes(sealed(model().config, change))
        with pytest.raises(DataError, match=message):
            load_model(path)
    for changes, message in (({"version": 2}, "version 1, found 'opnet-model' version 2"), ({"config": 3}, "found 3")):
        path.write_bytes(sealed(model().config, None, **changes))
        with pytest.raises(DataError, match=message):
            load_model(path)


def test_foreign_safetensors_and_pickles_are_refused(path):
    path.write_bytes(tensor_bytes({"a": torch.zeros(2)}))
    with pytest.raises(DataError, match="safetensors without its metadata"):
        load_model(path)
    torch.save(model().state_dict(), path)
    with pytest.raises(DataError, match="do not hold its header"):
        load_model(path)
    nested = b"[" * 100_000
    path.write_bytes(len(nested).to_bytes(8, "little") + nested)
    with pytest.raises(DataError, match="expected JSON"):
        load_model(path)


def test_links_and_missing_files_are_refused(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(DataError, match="expected a regular file"):
        load_model(link)
    with pytest.raises(DataError, match="expected a regular file"):
        load_model(tmp_path / "missing")
    # Writing over a link replaces the link, not what it leads to.
    before = path.read_bytes()
    save_model(model(1), link)
    assert path.read_bytes() == before
    assert not link.is_symlink()


def test_tied_weights_survive():
    class Tied(type(model())):
        def __init__(self, **arguments):
            super().__init__(**arguments)
            self.twin = self.lifting

    tied = Tied(in_channels=1, out_channels=1, modes=(4,), width=4, layers=1)
    assert isinstance(tied.twin, nn.Module)
    assert len(model_bytes(tied)) > 0
