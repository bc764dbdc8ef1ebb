import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d

from opnet.models.blocks.stencil import padding_of
from opnet.models.blocks.v_cycle import VCycle
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import linear_interpolate

ITERATIONS = [(1, 1), (2, 1), (2, 0)]


def cycle(grids, *, learned, iterations=ITERATIONS):
    torch.manual_seed(0)
    K = VCycle(2, 3, grids[0].dim, iterations, learned_transfers=learned).double()
    return K, lambda f: K(f, grids, [padding_of(grid) for grid in grids])


@pytest.mark.parametrize("learned", [False, True])
def test_two_levels_by_hand(learned):
    coarse, fine = Grid((5, 4)), Grid((9, 7))
    K, apply = cycle([coarse, fine], learned=learned, iterations=[(1, 1), (2, 0)])
    f = torch.randn(2, 2, 9, 7, dtype=torch.float64)

    def convolve(module, v, stride=1):
        return conv2d(v, module.weight, padding=1, stride=stride)

    def smooth(S, A, u, f):
        return u + convolve(S, f - convolve(A, u))

    u1 = convolve(K.pre[1].S[0], f)
    transfer = K.transfers[0]
    if learned:
        u0, f0 = convolve(transfer.Pi, u1, 2), convolve(transfer.R, f, 2)
    else:
        u0, f0 = u1[..., ::2, ::2], f[..., ::2, ::2]
    first = u0
    for i in range(2):
        u0 = smooth(K.pre[0].S[i], K.pre[0].A[i], u0, f0)
    if learned:
        up = conv_transpose2d(u0, transfer.P, stride=2, padding=1)[..., :9, :7]
    else:
        up = linear_interpolate(u0 - first, coarse, fine)
    expected = smooth(K.post[1].S[0], K.post[1].A[0], u1 + up, f)
    assert torch.allclose(apply(f), expected)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("used", [1, 2, 3])
def test_it_is_linear_from_whatever_level_it_starts(learned, used):
    grids = [Grid((n, n), nodes="cell", boundary="neumann") for n in (3, 6, 12)][:used]
    _, apply = cycle(grids, learned=learned)
    f, g = torch.randn(2, 1, 2, *grids[-1].shape, dtype=torch.float64)
    assert torch.allclose(apply(2 * f - g), 2 * apply(f) - apply(g))


def test_on_periodic_grids_it_commutes_with_shifts_of_the_coarsest_nodes():
    grids = [Grid((n, n), nodes="left", boundary="periodic") for n in (3, 6, 12)]
    _, apply = cycle(grids, learned=False)
    f = torch.randn(1, 2, 12, 12, dtype=torch.float64)
    assert torch.allclose(apply(f.roll((4, 8), (2, 3))), apply(f).roll((4, 8), (2, 3)))
    assert not torch.allclose(apply(f.roll(1, 2)), apply(f).roll(1, 2))


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("iterations", [[(1, 0)] * 3, [(1, 1), (1, 0), (1, 0)], [(1, 0), (1, 1), (1, 0)], [(2, 0)] * 3])
@pytest.mark.parametrize("nodes", ["vertex", "cell"])
@pytest.mark.parametrize("used", [1, 2, 3])
def test_a_pointwise_map_is_added(learned, iterations, nodes, used):
    """Also where it joins the first smoothing step and is taken out again for the coarser level."""
    grids = [Grid((n + (nodes == "vertex"),) * 2, nodes=nodes) for n in (3, 6, 12)][:used]
    K, apply = cycle(grids, learned=learned, iterations=iterations)
    W, f = torch.nn.Linear(2, 3).double(), torch.randn(2, 2, *grids[-1].shape, dtype=torch.float64)
    together = K(f, grids, [padding_of(grid) for grid in grids], W)
    assert torch.allclose(together, apply(f) + W(f.movedim(1, -1)).movedim(-1, 1))
