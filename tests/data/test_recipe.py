from dataclasses import replace

import pytest
from analytic_problem import SinePoisson

from opnet.data.recipe import TEST_OFFSET, DataRecipe

RECIPE = DataRecipe(
    problem=SinePoisson(), n_train=10, n_test=3, train_resolution=16, test_resolutions=(64, 32), shard_size=4
)


def test_the_training_resolution_is_always_tested():
    assert RECIPE.test_resolutions == (16, 32, 64)


@pytest.mark.parametrize(
    "changes",
    [
        {"problem": SinePoisson(modes=5)},
        {"n_train": 11},
        {"n_test": 4},
        {"train_resolution": 32},
        {"test_resolutions": (32,)},
        {"seed": 1},
        {"dtype": "float64"},
        {"error_share": 0.5},
        {"shard_size": 5},
    ],
)
def test_whatever_determines_the_samples_changes_the_digest(changes):
    assert replace(RECIPE, **changes).digest != RECIPE.digest


def test_the_name_does_not_change_the_digest():
    assert replace(RECIPE, name="other", licence="CC0-1.0").digest == RECIPE.digest
    assert replace(RECIPE, error_share=1).digest == RECIPE.digest


def test_shards_cover_every_sample_once_and_tests_never_meet_training():
    train = [i for plan in RECIPE.shards if plan.split == "train" for i in plan.indices]
    assert train == list(range(10))
    for resolution in (16, 32, 64):
        tests = [plan.indices for plan in RECIPE.shards if (plan.split, plan.resolution) == ("test", resolution)]
        assert [i for indices in tests for i in indices] == [TEST_OFFSET + i for i in range(3)]


@pytest.mark.parametrize(("share", "count"), [(0, 0), (0.1, 10), (1 / 3, 34), (1, 100)])
def test_error_estimates_are_spread_evenly(share, count):
    estimated = [replace(RECIPE, error_share=share).estimates_error(i) for i in range(100)]
    assert sum(estimated) == count
    assert abs(sum(estimated[:50]) - count / 2) <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_train": 0}, "n_train: expected an integer from 1"),
        ({"n_test": 2**32}, "n_test"),
        ({"seed": -1}, "seed"),
        ({"shard_size": 0}, "shard_size"),
        ({"dtype": "float16"}, "dtype: expected one of float32, float64"),
        ({"error_share": 1.5}, "error_share"),
        ({"error_share": float("nan")}, "error_share"),
        ({"test_resolutions": (1,)}, "SinePoisson: expected a resolution of at least 2"),
    ],
)
def test_wrong_arguments_are_named(changes, message):
    arguments = {"problem": SinePoisson(), "n_train": 1, "n_test": 1, "train_resolution": 4, **changes}
    with pytest.raises(ValueError, match=message):
        DataRecipe(**arguments)
