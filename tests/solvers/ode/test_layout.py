import pytest
import torch

from opnet.solvers.ode.layout import Layout


def leaves(state):
    return [state] if isinstance(state, torch.Tensor) else list(state.values() if isinstance(state, dict) else state)


@pytest.mark.parametrize(
    ("state", "batched", "rows"),
    [
        (torch.arange(6.0).reshape(2, 3), True, (2, 3)),
        (torch.arange(12.0).reshape(2, 3, 2), True, (2, 6)),
        (torch.arange(3.0), False, (1, 3)),
        (torch.tensor(2.0), False, (1, 1)),
        ((torch.arange(4.0).reshape(2, 2), torch.arange(2.0)), True, (2, 3)),
        ((torch.arange(2.0), torch.arange(2.0)), False, (1, 4)),
        ((torch.arange(4.0).reshape(2, 2), torch.arange(3.0)), False, (1, 7)),
        ({"b": torch.tensor(1.0), "a": torch.arange(4.0).reshape(2, 2)}, False, (1, 5)),
        ({"b": torch.ones(2, 1), "a": torch.arange(8.0).reshape(2, 2, 2)}, True, (2, 5)),
    ],
)
def test_rows_and_back(state, batched, rows):
    layout = Layout.of(state)
    assert layout.batched == batched
    flat = layout.rows(state)
    assert flat.shape == rows
    leading = layout.state(flat.expand(4, 5, *flat.shape))
    for back, expand in ((layout.state(flat), ()), (leading, (4, 5))):
        assert type(back) is type(state)
        if isinstance(state, dict):
            assert list(back) == list(state)
        for ours, theirs in zip(leaves(state), leaves(back), strict=True):
            assert torch.equal(theirs, ours.expand((*expand, *ours.shape)))


def test_a_plain_batch_is_itself():
    y = torch.ones(2, 3)
    layout = Layout.of(y)
    assert layout.plain
    assert layout.rows(y) is y
    assert layout.state(y) is y


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (1.0, "y0: expected a floating Tensor, or a tuple or dict of them"),
        ((), "found an empty tuple"),
        ({}, "found an empty dict"),
        ((torch.ones(2), 1.0), "y0: expected"),
        (torch.ones(2, dtype=torch.long), "y0: expected non-empty floating tensors"),
        (torch.ones(0, 2), "y0: expected non-empty floating tensors"),
        ((torch.ones(2), torch.ones(2, dtype=torch.float64)), "y0: expected one dtype and device"),
    ],
)
def test_other_states_are_refused(state, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Layout.of(state)


@pytest.mark.parametrize(
    "value",
    [
        torch.ones(2, 2),
        (torch.ones(2, 2),),
        [torch.ones(2, 2), torch.ones(2)],
        (torch.ones(2, 2), torch.ones(2, 1)),
        (torch.ones(2, 2), torch.ones(2).double()),
        (torch.ones(2, 2), 1.0),
    ],
)
def test_values_of_another_form_are_refused(value):
    state = (torch.ones(2, 2), torch.ones(2))
    layout = Layout.of(state)
    layout.check("f", state, state)
    with pytest.raises(ValueError, match=r"f: expected the form of y, \(torch.float32 of \(2, 2\), torch.float32 of"):
        layout.check("f", value, state)


def test_dicts_keep_their_order():
    state = {"a": torch.ones(2), "b": torch.zeros(2)}
    with pytest.raises(ValueError, match="f: expected the form of y"):
        Layout.of(state).check("f", {"b": torch.zeros(2), "a": torch.ones(2)}, state)
