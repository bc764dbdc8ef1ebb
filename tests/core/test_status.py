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


def test_what_rounding_limits_is_no_failure():
    status = torch.tensor([int(Status.ROUNDING_FLOOR), int(Status.STAGNATED)])
    raise_for_status("solve", status[:1])
    with pytest.raises(SolveError, match=r"no progress .*element 1 of 2\)$"):
        raise_for_status("solve", status)


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_a_meaning_and_raises_unless_ok(status):
    assert status.meaning
    if status.ok:
        raise_for_status("solve", torch.tensor(int(status)))
    else:
        with pytest.raises(SolveError) as e:
            raise_for_status("solve", torch.tensor(int(status)))
        assert e.value.status == status
