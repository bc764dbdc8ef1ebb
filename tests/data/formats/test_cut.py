import pytest
import torch

from opnet.data.batch import ArrayDataset
from opnet.data.formats.cut import Cut
from opnet.spaces.grid import Grid


def data(n):
    values = torch.arange(float(n))[:, None, None].expand(n, 1, 2).contiguous()
    return ArrayDataset(values, values, Grid((2,)))


def numbers(part):
    return part.all().inputs[:, 0, 0].tolist()


def test_the_first_train_and_the_last_test():
    train, test, note = Cut(2, 3).one(data(10))
    assert (numbers(train), numbers(test)) == ([0, 1], [7, 8, 9])
    assert note == "There is no split: the first 2 samples train, the last 3 test; 5 between them are not used."
    train, test, note = Cut().one(data(10))
    assert (len(train), numbers(test)) == (9, [9])
    assert note.endswith("the last 1 test.")
    assert Cut(0.5, 0.25).counts(8) == (4, 2)


def test_two_files_are_cut_at_their_starts():
    train, test = Cut(2, 0.5).two(data(4), data(6))
    assert (numbers(train), numbers(test)) == ([0, 1], [0, 1, 2])
    train, test = Cut().two(data(4), data(6))
    assert (len(train), len(test)) == (4, 6)
    with pytest.raises(ValueError, match="n_test: expected at most 6 samples, as the files have, found 7"):
        Cut(None, 7).two(data(4), data(6))


@pytest.mark.parametrize("number", [0, -1, 1.0, 0.0, True])
def test_numbers_out_of_range_are_refused(number):
    with pytest.raises(ValueError, match="n_test: expected a positive number of samples, or a share below 1"):
        Cut(None, number)


def test_more_samples_than_there_are_are_refused():
    with pytest.raises(ValueError, match="expected at most 10 samples together, as the file has"):
        Cut(8, 3).counts(10)
    with pytest.raises(ValueError, match="at least one each, found 0 and 10"):
        Cut(None, 10).counts(10)
