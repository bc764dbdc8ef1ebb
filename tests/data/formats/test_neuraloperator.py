import pytest
import torch
from damage import write_darcy_files

from opnet.core.errors import DataError
from opnet.data.dataset import open_dataset
from opnet.spaces.grid import Grid


def read(folder, **options):
    return open_dataset(folder, format="neuraloperator", **{"train_resolution": 4, **options})


@pytest.fixture
def folder(tmp_path):
    write_darcy_files(tmp_path)
    return tmp_path


def test_the_published_darcy_files(shared):
    splits = open_dataset(shared / "data/neuraloperator", format="neuraloperator")
    assert (len(splits.train), len(splits.test), len(splits.at(32))) == (1000, 50, 50)
    assert splits.train.domain == Grid((16, 16), boundary="dirichlet", nodes="left")
    assert splits.at(32).domain == Grid((32, 32), boundary="dirichlet", nodes="left")
    assert torch.equal(splits.at(32).all().targets[..., ::2, ::2], splits.test.all().targets)
    assert set(splits.train.all().inputs.unique().tolist()) == {0.0, 1.0}
    notes = " ".join(splits.notes)
    assert "contrast of about 19" in notes
    assert "averages 0.88% of its mean on row and column 0" in notes
    assert "index 16 (the far boundary) is missing" in notes
    assert "to -0.428, against the maximum principle" in notes
    assert "they are the same samples" in notes


def test_the_published_burgers_file(shared):
    folder = shared / "data/neuraloperator"
    splits = open_dataset(folder, format="neuraloperator", problem="burgers", n_test=100)
    assert (len(splits.train), len(splits.test)) == (700, 100)
    assert splits.train.domain == Grid((16,), boundary="periodic")
    raw = torch.load(folder / "burgers_train_16.pt", weights_only=True)
    assert torch.equal(splits.test.all().targets[:, 0], raw["y"][700:, -1].float())
    assert torch.equal(splits.train.all().inputs[:, 0], raw["x"][:700].float())
    assert "nu = 0.01" in splits.notes[0]
    with pytest.raises(DataError, match=r"burgers_test_16\.pt: expected this file.*or ask for n_test samples"):
        open_dataset(folder, format="neuraloperator", problem="burgers")
    with pytest.raises(ValueError, match="n_test: expected fewer than the 800 samples"):
        open_dataset(folder, format="neuraloperator", problem="burgers", n_test=800)


@pytest.mark.parametrize("name", ["darcy_train_4.pt", "darcy_test_4.pt"])
def test_a_missing_file_is_named_with_where_to_find_it(folder, name):
    (folder / name).unlink()
    with pytest.raises(DataError, match=rf"{name}: expected this file, .*github\.com/neuraloperator/neuraloperator"):
        read(folder)


def change(folder, **changes):
    path = folder / "darcy_train_4.pt"
    torch.save({**torch.load(path, weights_only=True), **changes}, path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": torch.zeros(6, 4, 4)}, r"x: expected torch.bool of shape \(n, 4, 4\), found torch.float32"),
        ({"y": torch.zeros(6, 4, 4, dtype=torch.float64)}, "y: expected torch.float32"),
        ({"y": torch.zeros(5, 4, 4)}, r"y: expected torch.float32 of shape \(6, 4, 4\), found .* \(5, 4, 4\)"),
        ({"x": torch.zeros(6, 4, 5, dtype=torch.bool)}, r"x: expected .* found torch.bool \(6, 4, 5\)"),
        ({"x": torch.zeros(0, 4, 4, dtype=torch.bool)}, r"x: expected .* found torch.bool \(0, 4, 4\)"),
        ({"y": torch.full((6, 4, 4), torch.nan)}, "y: expected finite values, found NaN or Inf in sample 0"),
        ({"z": torch.zeros(1)}, r"expected a dict with the keys \['x', 'y'\], found \['x', 'y', 'z'\]"),
        ({"y": torch.zeros(1).expand(10**6, 4, 4)}, "y: expected a dense tensor that the file holds whole"),
        ({"y": torch.eye(4).to_sparse()}, "y: expected a dense tensor"),
        ({"y": [1.0]}, "y: expected a dense tensor that the file holds whole, found list"),
    ],
)
def test_odd_contents_are_named(folder, changes, message):
    change(folder, **changes)
    with pytest.raises(DataError, match=rf"darcy_train_4\.pt: {message}"):
        read(folder)


def test_wrong_options_are_named(folder):
    with pytest.raises(ValueError, match="problem: expected one of darcy, burgers, found 'stokes'"):
        read(folder, problem="stokes")
    with pytest.raises(ValueError, match="n_test of at least 1"):
        read(folder, n_test=0)


def test_test_files_that_are_other_samples_are_noted(folder):
    path = folder / "darcy_test_8.pt"
    values = torch.load(path, weights_only=True)
    torch.save({**values, "y": values["y"] + 0.5}, path)
    assert "u differs by at most 0.5" in " ".join(read(folder).notes)
