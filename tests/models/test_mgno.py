import pytest
import torch
from torch.nn.functional import gelu

from opnet.models.blocks.stencil import padding_of
from opnet.models.mgno import MgNO
from opnet.spaces.grid import Grid


def double(*arguments, **options):
    torch.manual_seed(0)
    return MgNO(*arguments, **{"width": 4, "layers": 2, "levels": 3, **options}).double().eval()


def test_layers_are_the_published_ones():
    model, grid = double(1, 2, form="published", padding="zeros"), Grid((16, 12), nodes="cell")
    a = torch.randn(3, 1, 16, 12, dtype=torch.float64)
    grids = [grid.resized(shape) for shape in ((4, 3), (8, 6), (16, 12))]
    v = a
    for cycle, pointwise in zip(model.cycles, model.pointwise, strict=True):
        mixed = torch.einsum("oi,bihw->bohw", pointwise.weight, v) + pointwise.bias[:, None, None]
        v = gelu(cycle(v, grids, [padding_of(at) for at in grids]) + mixed)
    u = torch.einsum("oi,bihw->bohw", model.projection.weight, v)
    assert torch.allclose(model(a, grid), u)


@pytest.mark.parametrize(
    ("nodes", "boundary", "n"),
    [("vertex", "dirichlet", 9), ("vertex", "neumann", 9), ("left", "periodic", 8)],
)
def test_a_finer_grid_gives_the_same_at_the_nodes_of_the_levels(nodes, boundary, n):
    """Trained nodes keep their answer to rounding, whatever lies between them; what lies there decides there."""
    model = double(1, 1)
    fine = Grid((32 + n % 2, 24 + n % 2), nodes=nodes, boundary=boundary)
    coarse = fine.resized((n, n))
    a = torch.randn(2, 1, *fine.shape, dtype=torch.float64)
    u = model(a, fine)
    assert torch.allclose(u[..., ::4, ::3], model(a[..., ::4, ::3], coarse))
    a[..., 1, 1] += 1
    assert not torch.allclose(model(a, fine)[..., 1, 1], u[..., 1, 1])


def test_a_coarser_grid_leaves_the_finest_levels_out():
    model = double(1, 1)
    model(torch.randn(2, 1, 5, 5, dtype=torch.float64), Grid((5, 5))).sum().backward()
    for cycle in model.cycles:
        assert all(p.grad is None for p in cycle.pre[2].parameters())
        assert all(p.grad is not None for p in (*cycle.pre[0].parameters(), *cycle.pre[1].S.parameters()))


def test_skipping_the_finest_level_is_what_one_level_less_gives_and_for_training_alone():
    model, grid = double(1, 1, skip_finest=0.5), Grid((9, 9))
    a = torch.randn(2, 1, 9, 9, dtype=torch.float64)
    whole = model(a, grid)
    model.train()
    answers = [model(a, grid) for _ in range(20)]
    skipped = [u for u in answers if not torch.equal(u, whole)]
    assert 0 < len(skipped) < 20
    assert all(torch.equal(u, skipped[0]) for u in skipped)
    # On every second node that is the answer of the levels below.
    assert torch.allclose(skipped[0][..., ::2, ::2], model.eval()(a[..., ::2, ::2], Grid((5, 5))))


@pytest.mark.parametrize("form", ["aligned", "published"])
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
def test_one_to_three_dimensions(dim, form, boundary):
    grid = Grid((8, 9, 10)[:dim], boundary=boundary)
    assert double(2, 3, dim=dim, form=form)(torch.randn(2, 2, *grid.shape).double(), grid).shape == (2, 3, *grid.shape)


def test_levels_may_differ_by_axis():
    model, grid = double(1, 1, coarsest=(2, 3)), Grid((9, 13))
    fine = grid.resized((17, 25))
    a = torch.randn(1, 1, 17, 25, dtype=torch.float64)
    assert torch.allclose(model(a, fine)[..., ::2, ::2], model(a[..., ::2, ::2], grid))


def test_each_form_says_whether_it_means_one_operator():
    assert MgNO(1, 1, width=2).discretisation_invariant
    assert not MgNO(1, 1, width=2, form="published").discretisation_invariant


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width: expected at least 1, found 0"),
        ({"in_channels": 0}, "in_channels: expected at least 1"),
        ({"layers": 0}, "layers: expected at least 1"),
        ({"levels": 0}, "levels: expected at least 1"),
        ({"dim": 4}, "dim: expected 1 to 3, found 4"),
        ({"iterations": [[1, 0]]}, "iterations: expected 3 pairs .* found "),
        ({"iterations": [[1, 0], [0, 1], [1, 0]]}, "iterations: expected 3 pairs"),
        ({"iterations": [[1, 0], [1, 0], [1, 1]]}, "iterations: expected 3 pairs .* none up on the coarsest"),
        ({"coarsest": 0}, "coarsest: expected one positive integer, or 2, found 0"),
        ({"coarsest": (2, 2, 2)}, "coarsest: expected one positive integer, or 2"),
        ({"form": "sawtooth"}, "form: expected one of aligned, published, found 'sawtooth'"),
        ({"padding": "wrap"}, "padding: expected None or one of zeros, reflect, replicate, circular, found 'wrap'"),
        ({"skip_finest": 1.0}, "skip_finest: expected 0, or .* found 1.0"),
        ({"skip_finest": 0.5, "form": "published"}, "skip_finest: expected 0, or for the aligned form"),
        ({"skip_finest": 0.5, "levels": 1}, "skip_finest: expected 0, or .* two levels or more"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=f"MgNO: {message}"):
        MgNO(**{"in_channels": 1, "out_channels": 1, "width": 4, "levels": 3, **arguments})


def test_grids_too_small_for_the_levels_are_named():
    with pytest.raises(ValueError, match=r"levels: expected at most 2 on 4 nodes along axis 1, .* found 3"):
        double(1, 1, form="published", levels=3)(torch.zeros(1, 1, 16, 4, dtype=torch.float64))
    with pytest.raises(
        ValueError, match=r"coarsest: expected at most the \(9, 3\) intervals of the grid, found \(4, 4\)"
    ):
        double(1, 1, coarsest=4)(torch.zeros(1, 1, 9, 3, dtype=torch.float64))
