import pytest
import torch
from small_training import data
from torch import nn

from opnet.core.errors import SolveError
from opnet.training.guards import Guard, largest_allowed


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))
        self.register_buffer("mean", torch.zeros(()))


def guarded():
    model = Scale()
    return model, Guard(model), data().batch([4, 7, 9])


def test_a_sound_step_has_its_loss_and_norm():
    model, guard, batch = guarded()
    assert guard.gradients(lambda batch: 3 * model.factor, batch) is None
    assert (guard.loss, float(guard.norm), model.factor.grad.item()) == (3.0, 3.0, 3.0)


@pytest.mark.parametrize(
    ("loss_of", "message"),
    [
        (lambda factor: factor + float("nan"), "the loss is nan"),
        (lambda factor: factor + float("inf"), "the loss is inf"),
        (lambda factor: (factor - 1).sqrt(), "the norm of the gradient is inf"),
        (lambda factor: factor * 1e20, "the norm of the gradient is 1"),
    ],
)
def test_what_may_not_be_used_is_said(loss_of, message):
    model, guard, batch = guarded()
    assert guard.gradients(lambda batch: loss_of(model.factor), batch).startswith(message)


def test_a_gradient_at_the_bound_has_a_finite_square():
    bound = largest_allowed(torch.float32)
    assert torch.isfinite(torch.tensor(0.99 * bound).square())
    assert torch.isinf(torch.tensor(1.01 * bound).square())


def test_samples_are_found_alone_and_buffers_come_back():
    model, guard, batch = guarded()

    def loss_of(batch):
        model.mean += 1
        if 7 in batch.index:
            raise SolveError("no", status=4, index=0)
        return model.factor * (float("nan") if 9 in batch.index else 1)

    assert guard.failing_samples(loss_of, batch) == ([7, 9], "no")
    assert float(model.mean) == 0
    assert model.factor.grad is None

    def together(batch):
        return model.factor * (float("nan") if len(batch.index) > 1 else 1)

    assert guard.failing_samples(together, batch) == ([4, 7, 9], None)


def test_buffers_are_kept_when_a_step_was_good():
    model, guard, batch = guarded()
    model.mean += 2
    guard.keep()
    model.mean += float("inf")
    assert guard.gradients(lambda batch: model.factor * 1, batch) == "a buffer of the model is not finite"
    guard.restore()
    assert float(model.mean) == 2
