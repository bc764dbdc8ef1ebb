import pytest
import torch

from opnet.models.persistence import Persistence


def test_maps_without_time_are_the_identity():
    a = torch.randn(2, 3, 4, 5)
    assert torch.equal(Persistence(3, 3, fields=3)(a), a)
    assert torch.equal(Persistence(3, 1)(a), a[:, 2:])


def test_every_frame_is_the_last_one():
    a = torch.randn(2, 6, 8)  # three frames of two fields
    assert torch.equal(Persistence(6, 4, fields=2)(a), torch.cat([a[:, 4:], a[:, 4:]], 1))


@pytest.mark.parametrize(("channels_in", "channels_out", "fields"), [(1, 2, 2), (4, 3, 2)])
def test_channels_that_are_no_whole_frames_are_refused(channels_in, channels_out, fields):
    with pytest.raises(ValueError, match=f"fields: expected at most in_channels {channels_in} and a divisor"):
        Persistence(channels_in, channels_out, fields)


def test_numbers_below_one_are_refused():
    with pytest.raises(ValueError, match="Persistence: fields: expected at least 1, found 0"):
        Persistence(1, 1, 0)
