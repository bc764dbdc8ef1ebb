import pytest
import torch

from opnet.core.errors import SolveError
from opnet.core.status import Status, raise_for_status


def test_first_failure_is_named_with_index_and_time():
    status = torch.tensor([0, int(Status.STEP_UNDERFLOW), int(Status.NON_FINITE)])
    with pytest.raises(
        SolveError, match=r"solve: the step size fell .*element 1 of 3 at t = 0.5; 2 elements failed"
    ) as e:
        raise_for_status("solve", status, times=torch.tensor([1.0, 0.5, 0.1]))
    assert (e.value.status, e.value.index, e.value.time) == (Status.STEP_UNDERFLOW, 1, 0.5)


def test_success_is_silent():
    raise_for_status("solve", torch.zeros(4, dtype=torch.long))


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_a_meaning(status):
    assert status.meaning
