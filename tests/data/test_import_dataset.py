import pytest
import torch

from opnet.core.errors import DataError
from opnet.data.batch import ArrayDataset
from opnet.data.dataset import DataSplits, open_dataset
from opnet.data.formats.the_well_write import write_the_well
from opnet.data.generate import generate
from opnet.data.import_dataset import import_dataset
from opnet.data.recipe import DataRecipe
from opnet.graphs.graphons import tent
from opnet.graphs.sampling import sample_graph
from opnet.solvers.pde.advection import Advection
from opnet.spaces.grid import Grid

GRID = Grid((8,), boundary="periodic")


def data(n_train=70, n_test=3, **options):
    torch.manual_seed(1)
    train, test = (ArrayDataset(torch.rand(n, 1, 8), torch.rand(n, 2, 8), GRID, **options) for n in (n_train, n_test))
    return DataSplits(train, {8: test}, 8, {"name": "theirs", "equation": "u = v", "licence": "CC0"}, "d1")


def same(first, second):
    a, b = first.all(), second.all()
    assert torch.equal(a.inputs, b.inputs)
    assert torch.equal(a.targets, b.targets)
    assert first.domain == second.domain
    assert (a.times is None) == (b.times is None)
    if a.times is not None:
        assert torch.allclose(a.times.double(), b.times.double())


def test_samples_and_what_is_known_of_them_come_along(tmp_path):
    source = data()
    store = import_dataset(source, tmp_path / "store")
    found = open_dataset(tmp_path / "store")
    same(found.train, source.train)
    same(found.test, source.test)
    assert store.complete
    assert found.provenance["licence"] == "CC0"
    assert found.provenance["target_names"] == ["target_0", "target_1"]
    assert found.provenance["recipe"]["imported"]["digest"] == "d1"
    assert bool(found.train.discretisation_error.isnan().all())


def test_a_store_goes_to_a_store_and_to_the_well_with_its_trajectories(tmp_path):
    recipe = DataRecipe(
        problem=Advection(times=(0.0, 0.25, 1.0)), n_train=3, n_test=2, train_resolution=8, test_resolutions=(16,)
    )
    generate(recipe, tmp_path / "made")
    made = open_dataset(tmp_path / "made")
    import_dataset(made, tmp_path / "copied")
    copied = open_dataset(tmp_path / "copied")
    for n in made.resolutions:
        same(copied.at(n), made.at(n))
        assert torch.equal(copied.at(n).discretisation_error, made.at(n).discretisation_error)
        assert copied.at(n).diagnostics.keys() == made.at(n).diagnostics.keys()
    assert copied.provenance["equation"] == made.provenance["equation"]

    write_the_well(made, tmp_path / "well", name="advection")
    again = open_dataset(tmp_path / "well", trajectories=True).train
    assert again.times.tolist() == [0.0, 0.25, 1.0]
    torch.testing.assert_close(again.all().targets, made.train.all().targets)
    torch.testing.assert_close(again.rollouts(1).all().targets, made.train.rollouts(1).all().targets)


def test_an_interrupted_import_goes_on(tmp_path):
    source, calls = data(), []

    def stop(done, total, message=""):
        calls.append(done)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_dataset(source, tmp_path / "store", progress=stop)
    with pytest.raises(DataError, match="found 64; run the generation again"):
        open_dataset(tmp_path / "store")
    kept = (tmp_path / "store/shards/train-8-00000.h5").stat().st_mtime_ns
    assert import_dataset(source, tmp_path / "store").complete
    assert (tmp_path / "store/shards/train-8-00000.h5").stat().st_mtime_ns == kept
    same(open_dataset(tmp_path / "store").train, source.train)


def test_parameters_become_diagnostics(tmp_path):
    nu = torch.linspace(0.1, 1.0, 5)
    import_dataset(data(5, 5, parameters={"nu": nu}), tmp_path / "store")
    torch.testing.assert_close(open_dataset(tmp_path / "store").train.diagnostics["nu"], nu.double())


def test_what_cannot_be_imported_is_refused(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"expected an empty folder, found notes\.txt"):
        import_dataset(data(), tmp_path / "full")
    import_dataset(data(), tmp_path / "store")
    other = data()
    object.__setattr__(other, "digest", "d2")
    with pytest.raises(ValueError, match="unfinished import of the same data, found a store"):
        import_dataset(other, tmp_path / "store")
    graph = sample_graph(tent(), 4, dtype=torch.float32)
    nodes = ArrayDataset(torch.rand(2, 4, 1), torch.rand(2, 4, 1), graph)
    with pytest.raises(ValueError, match="train: expected samples on a grid, found them on a Graph"):
        import_dataset(DataSplits(nodes, {4: nodes}, 4, {}, "d3"), tmp_path / "graph")
