import pytest
import torch

from opnet.solvers.multigrid.coarsening import SHORTEST, Coarsening, coarsenings

AXES = [(n, periodic) for n in (4, 5, 8, 9, 13) for periodic in (False, True)]


def kept(axis):
    return [2 * coarse + axis.first for coarse in range(axis.coarse)]


def test_any_size_is_thinned_down():
    sizes = [419]
    while sizes[-1] >= 12:
        sizes.append(Coarsening.of(sizes[-1], False).coarse)
    assert sizes == [419, 209, 104, 52, 26, 13, 6]


@pytest.mark.parametrize(("n", "periodic"), AXES)
def test_every_node_is_kept_or_next_to_a_kept_one(n, periodic):
    nodes = kept(Coarsening.of(n, periodic))
    assert set(nodes) <= set(range(n))
    reached = {i + step for i in nodes for step in (-1, 0, 1)}
    assert set(range(n)) <= ({i % n for i in reached} if periodic else reached)


@pytest.mark.parametrize(("n", "periodic"), AXES)
@pytest.mark.parametrize("reach", [1, 2])
def test_extension_holds_the_neighbours_of_kept_nodes(n, periodic, reach):
    axis = Coarsening.of(n, periodic)
    x = torch.arange(1.0, n + 1)
    extended = axis.extend(x.unsqueeze(-1), -2, reach).squeeze(-1)
    assert len(extended) == 2 * axis.coarse + 2 * reach - 1
    for coarse, node in enumerate(kept(axis)):
        for step in range(-reach, reach + 1):
            beyond = not periodic and not 0 <= node + step < n
            expected = 0.0 if beyond else float(x[(node + step) % n])
            assert float(extended[2 * coarse + step + reach]) == expected


@pytest.mark.parametrize(("n", "periodic"), AXES)
def test_folding_is_the_transpose_of_extending(n, periodic):
    axis = Coarsening.of(n, periodic)
    extend = torch.stack([axis.extend(row, -1, 1) for row in torch.eye(n)], -1)
    fold = torch.stack([axis.fold(row, -1) for row in torch.eye(2 * axis.coarse + 1)], -1)
    if periodic and n % 2:  # its ends are kept nodes, beyond which a basis function has nothing
        fold, extend = fold[:, 1:-1], extend[1:-1]
    torch.testing.assert_close(fold, extend.mT)


def test_short_axes_are_left_alone():
    axes = coarsenings((SHORTEST - 1, SHORTEST), (True, False))
    assert axes == [None, Coarsening.of(SHORTEST, False)]
    assert coarsenings((SHORTEST - 1, 1), (True, False)) is None
