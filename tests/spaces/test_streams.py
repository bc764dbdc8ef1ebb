from opnet.spaces.streams import stream


def test_streams_differ_by_every_part_of_the_key():
    draws = {tuple(stream(*key).integers(0, 2**62, 4)) for key in [(0,), (0, 0), (0, 1), (1, 0), (0, 0, 1)]}
    assert len(draws) == 5
