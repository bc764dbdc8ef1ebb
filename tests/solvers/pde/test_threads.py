import pytest
import torch

from opnet.solvers.pde.threads import one_thread


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_threads_come_back_even_after_an_error():
    def fail():
        with one_thread():
            raise RuntimeError(f"inside, on {torch.get_num_threads()}")

    with pytest.raises(RuntimeError, match="inside, on 1"):
        fail()
    assert torch.get_num_threads() == 2


def test_large_work_keeps_its_threads():
    with one_thread(when=False):
        assert torch.get_num_threads() == 2
