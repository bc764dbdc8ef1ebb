import random

import pytest
from damage import damaged_checkpoint, damaged_single_file, damaged_trajectories


@pytest.mark.parametrize("damaged", [damaged_single_file, damaged_trajectories, damaged_checkpoint])
def test_no_damage_passes_in_silence(tmp_path, damaged):
    silent = damaged(tmp_path, random.Random(0), flips=40, cuts=15)
    assert [len(trials) for trials in silent.values()] == [40, 15]
    assert [fault for trials in silent.values() for fault in trials if fault] == []
