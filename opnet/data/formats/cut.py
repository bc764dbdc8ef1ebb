"""`Cut`: training and test samples of files that do not tell them apart."""

from __future__ import annotations

from dataclasses import dataclass

from opnet.data.batch import Dataset

_TEST_SHARE = 0.1


@dataclass(frozen=True)
class Cut:
    """Which samples train and which test; the first and the last, as is the custom with these files.

    Args:
        n_train: how many samples at the start train, or which share of all if below 1; None: all that do not test.
        n_test: how many samples at the end test, or which share; None: a tenth, or all of a test file.

    Raises:
        ValueError: for a number or share out of range.

    >>> Cut().counts(20)
    (18, 2)
    """

    n_train: int | float | None = None
    n_test: int | float | None = None

    def __post_init__(self) -> None:
        for name, value in (("n_train", self.n_train), ("n_test", self.n_test)):
            whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
            if not (value is None or whole or (isinstance(value, float) and 0 < value < 1)):
                raise ValueError(f"{name}: expected a positive number of samples, or a share below 1, found {value!r}")

    def counts(self, samples: int) -> tuple[int, int]:
        """How many samples of one file train and how many test; `ValueError` if there are not so many."""
        test = _number(_TEST_SHARE if self.n_test is None else self.n_test, samples)
        train = samples - test if self.n_train is None else _number(self.n_train, samples)
        if train < 1 or train + test > samples:
            raise ValueError(
                f"n_train, n_test: expected at most {samples} samples together, as the file has, and at least one "
                f"each, found {train} and {test}"
            )
        return train, test

    def one(self, data: Dataset) -> tuple[Dataset, Dataset, str]:
        """The two parts of one data set, and a note that says which they are."""
        train, test = self.counts(len(data))
        unused = len(data) - train - test
        note = f"There is no split: the first {train} samples train, the last {test} test" + (
            f"; {unused} between them are not used." if unused else "."
        )
        return data.subset(range(train)), data.subset(range(len(data) - test, len(data))), note

    def two(self, train: Dataset, test: Dataset) -> tuple[Dataset, Dataset]:
        """The first samples of a training and of a test set that are told apart."""
        return _first("n_train", self.n_train, train), _first("n_test", self.n_test, test)


def _first(name: str, number: int | float | None, data: Dataset) -> Dataset:
    if number is None:
        return data
    count = _number(number, len(data))
    if count > len(data):
        raise ValueError(f"{name}: expected at most {len(data)} samples, as the files have, found {count}")
    return data.subset(range(count))


def _number(value: int | float, samples: int) -> int:
    return value if isinstance(value, int) else max(1, round(value * samples))
