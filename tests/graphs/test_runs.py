import pytest
import torch

from opnet.graphs.runs import Runs, RunSum


def draw(rows, intervals, columns, seed=0):
    generator = torch.Generator().manual_seed(seed)
    row = torch.randint(rows, (intervals,), generator=generator)
    low = torch.randint(columns, (intervals,), generator=generator)
    return row, low, low + torch.randint(6, (intervals,), generator=generator)


def marked(row, low, high, rows, columns):
    matrix = torch.zeros(rows, columns, dtype=torch.bool)
    for i, a, b in zip(row.tolist(), low.tolist(), high.tolist(), strict=True):
        matrix[i, a:b] = True
    return matrix


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_union_is_that_of_the_marked_columns(positions, seed):
    row, low, high = draw(9, 25, 30, seed)
    ends = (low.double(), high.double()) if positions else (low, high)
    runs = Runs.union(row, *ends, 9)
    expected = marked(row, low, high, 9, 40)
    assert torch.equal(marked(runs.row, runs.low.long(), runs.high.long(), 9, 40), expected)
    # Runs that touch are one: as many as there are rises.
    assert len(runs.low) == (expected.int().diff(dim=1, prepend=torch.zeros(9, 1)) > 0).sum()
    assert torch.equal(runs.total, expected.sum(1).to(runs.low.dtype))


def test_an_interval_inside_an_earlier_one_does_not_end_it():
    row = torch.zeros(3, dtype=torch.int64)
    for dtype in (torch.int64, torch.float64):
        low, high = torch.tensor([[0, 1, 5], [9, 2, 7]]).to(dtype)
        runs = Runs.union(row, low, high, 1)
        assert (runs.low.tolist(), runs.high.tolist()) == ([0], [9])


def test_intervals_no_further_apart_than_the_gap_are_joined():
    low, high = torch.tensor([[0.0, 0.5 + 1e-15], [0.5, 1.0]], dtype=torch.float64)
    row = torch.zeros(2, dtype=torch.int64)
    assert len(Runs.union(row, low, high, 1).low) == 2
    assert len(Runs.union(row, low, high, 1, gap=1e-14).low) == 1


def test_cover_is_whether_all_columns_are_marked():
    row, low, high = draw(9, 25, 30)
    runs, matrix = Runs.union(row, low, high, 9), marked(row, low, high, 9, 60)
    row, low, high = draw(9, 200, 50, seed=1)
    high = torch.maximum(high, low + 1)
    expected = [bool(matrix[i, a:b].all()) for i, a, b in zip(row, low, high, strict=True)]
    assert runs.cover(row, low, high).tolist() == expected
    assert 0 < sum(expected) < 200


def test_without_one_column_of_each_row():
    row, low, high = draw(9, 25, 30)
    column = torch.randint(35, (9,), generator=torch.Generator().manual_seed(4))
    runs = Runs.union(row, low, high, 9).without(column)
    expected = marked(row, low, high, 9, 40)
    expected[torch.arange(9), column] = False
    assert torch.equal(marked(runs.row, runs.low, runs.high, 9, 40), expected)


def test_stacked_parts_are_the_rows_one_below_the_other():
    row, low, high = draw(9, 25, 30)
    top = row < 4
    parts = [Runs.union(row[top], low[top], high[top], 4), Runs.union(row[~top] - 4, low[~top], high[~top], 5)]
    stacked, whole = Runs.stack(parts), Runs.union(row, low, high, 9)
    for name in ("start", "low", "high"):
        assert torch.equal(getattr(stacked, name), getattr(whole, name))


def test_sums_are_those_of_the_marked_columns():
    row, low, high = draw(9, 25, 30)
    w, left, g = (torch.rand(k, dtype=torch.float64) for k in (40, 9, 40))
    order = torch.randperm(40, generator=torch.Generator().manual_seed(2))
    matrix = marked(row, low, high, 9, 40).double()
    runs = Runs.union(row, low, high, 9)
    torch.testing.assert_close(RunSum(runs, w, left) @ g, left * (matrix @ (w * g)))
    torch.testing.assert_close(RunSum(runs, w, left, order=order) @ g, left * (matrix @ (w * g)[order]))


@pytest.mark.parametrize("transposed", [False, True])
def test_scaled_in_its_own_form(transposed):
    row, low, high = draw(9, 25, 30)
    S = RunSum(Runs.union(row, low, high, 9), torch.rand(40, dtype=torch.float64))
    S = S.T if transposed else S
    left, right = (torch.rand(k, dtype=torch.float64) for k in S.shape)
    scaled = S.scaled(left, right)
    assert isinstance(scaled, RunSum)
    torch.testing.assert_close(scaled.to_dense(), left[:, None] * S.to_dense() * right)


def test_sums_keep_their_digits_in_float32():
    n = 1_000_000
    g = torch.cos(torch.arange(n) / n) + 3
    low = torch.arange(0, n - 1000, 1000)
    runs = Runs.union(torch.arange(len(low)), low, low + 700, len(low))
    w = torch.full((n,), 1e-3)
    exact = RunSum(runs, w.double()) @ g.double()
    assert ((RunSum(runs, w) @ g).double() / exact - 1).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("start", "low", "high"),
    [
        ([0, 2], [0, 1], [2, 3]),
        ([0, 1], [2], [2]),
        ([0, 2], [0], [1]),
        ([1, 1], [], []),
        ([0, 1], [0], [1, 2]),
    ],
)
def test_runs_are_checked(start, low, high):
    with pytest.raises(ValueError, match=r"expected .*"):
        Runs(*(torch.tensor(part, dtype=torch.int64) for part in (start, low, high)))


def test_dtypes_and_fit_are_checked():
    one = torch.tensor([0, 1])
    runs = Runs(one, torch.tensor([0]), torch.tensor([3]))
    positions = Runs(one, torch.tensor([0.0]).double(), torch.tensor([0.5]).double())
    for call, words in (
        (lambda: Runs(one, torch.tensor([0.0]), torch.tensor([0.5])), "float64"),
        (lambda: RunSum(positions, torch.ones(3)), "integer columns"),
        (lambda: RunSum(runs, torch.ones(2)), r"columns in 0 \.\.\. 2"),
        (lambda: RunSum(runs, torch.ones(3, dtype=torch.int64)), "floating"),
        (lambda: RunSum(runs, torch.ones(3), torch.ones(2)), "one a row"),
        (lambda: RunSum(runs, torch.ones(3), order=torch.tensor([0, 0, 1])), "once"),
        (lambda: RunSum(runs, torch.ones(3)).diagonal(), "square"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
