import pytest

from opnet.training.config import FitConfig
from opnet.training.schedules import SCHEDULES, learning_rate


def test_ten_fields_at_most_and_frozen():
    config = FitConfig()
    assert len(vars(config)) <= 10
    with pytest.raises(AttributeError):
        config.epochs = 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs: expected an integer of at least 1, found 0"),
        ({"epochs": True}, "epochs: expected an integer"),
        ({"batch_size": -1}, "batch_size: expected an integer of at least 1, found -1"),
        ({"seed": -1}, "seed: expected an integer of at least 0"),
        ({"learning_rate": 0.0}, r"learning_rate: expected a positive number, found 0\.0"),
        ({"learning_rate": float("inf")}, "learning_rate: expected a positive number, found inf"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"weight_decay": -0.1}, "weight_decay: expected a number of at least 0"),
        ({"weight_decay": 2e3}, "learning_rate . weight_decay of at most 1, found 2"),
        ({"gradient_clip": 0.0}, "gradient_clip: expected None or a positive number"),
        ({"schedule": "linear"}, "schedule: expected one of constant, cosine, one_cycle, step, found 'linear'"),
        ({"precision": "float16"}, "precision: expected one of float32, float64, found 'float16'"),
        ({"augmentation": "flip"}, "augmentation: expected one of none, dihedral, found 'flip'"),
        ({"device": "gpu"}, "device: expected a torch device, found 'gpu'"),
    ],
)
def test_wrong_values_are_named(arguments, message):
    with pytest.raises(ValueError, match=f"FitConfig.*{message}"):
        FitConfig(**arguments)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rates_are_positive_and_reach_their_peak(schedule):
    rates = [learning_rate(schedule, 0.1, step, 1000) for step in range(1000)]
    assert min(rates) > 0
    assert max(rates) == pytest.approx(0.1)


def test_shapes_of_the_schedules():
    assert {learning_rate("constant", 2.0, step, 7) for step in range(7)} == {2.0}
    assert [learning_rate("step", 1.0, step, 10) for step in range(10)] == [0.5 ** (step // 2) for step in range(10)]
    cosine = [learning_rate("cosine", 1.0, step, 100) for step in range(100)]
    assert cosine == sorted(cosine, reverse=True)
    assert cosine[50] == pytest.approx(0.5)
    cycle = [learning_rate("one_cycle", 1.0, step, 100) for step in range(100)]
    assert cycle[0] == pytest.approx(1 / 25)
    assert cycle.index(max(cycle)) == 30
    assert cycle[99] < 1e-2


def test_one_cycle_is_torchs_up_to_where_it_ends():
    import torch

    parameter = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([parameter], 1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=10_001)
    theirs = []
    for _ in range(10_000):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    ours = [learning_rate("one_cycle", 1.0, step, 10_000) for step in range(10_000)]
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < 1e-3
