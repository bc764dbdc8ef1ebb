import pytest
import torch

from opnet.linops.diffusion import Diffusion
from opnet.models.reduced_basis import ReducedBasis
from opnet.solvers.linear.direct import DirectSolver
from opnet.solvers.linear.solve import solve_linear
from opnet.spaces.grid import Grid
from opnet.spaces.interpolation import close_ends, open_ends
from opnet.training.model_file import load_model, save_model

N_TRAIN = 12


def coefficients(grid, n=N_TRAIN + 3):
    """Smooth and positive, from three numbers a sample."""
    x, y = grid.unit_coordinates()
    p = torch.rand(n, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)[..., None, None]
    return (1.2 + 2 * p[:, 0] * torch.sin(3 * x * y) ** 2 + p[:, 1] * torch.cos(4 * x - p[:, 2]) ** 2)[:, None]


def solutions(a, grid, forcing=1.0):
    closed_a, closed = close_ends(a, grid)
    A = Diffusion(closed_a[:, 0], closed)
    u = solve_linear(A, A.right_hand_side(forcing), DirectSolver()).value
    return open_ends(u[:, None], grid)


def trained(rank, grid, **options):
    a = coefficients(grid)
    u = solutions(a, grid, options.get("forcing", 1.0))
    model = ReducedBasis(rank, **options).double()
    model.adapt(a[:N_TRAIN], u[:N_TRAIN], grid)
    return model, a[N_TRAIN:], u[N_TRAIN:]


def relative(u, v):
    return float((u - v).norm() / v.norm())


@pytest.mark.parametrize("nodes", ["cell", "vertex", "left", "interior"])
def test_the_error_falls_fast_with_the_rank(nodes):
    grid = Grid((12, 14), extent=((0, 2), (0, 1)), nodes=nodes)
    errors = [relative(model(a, grid), u) for model, a, u in (trained(rank, grid) for rank in (1, 4, 8))]
    assert errors[1] < 0.05 * errors[0] or errors[1] < 0.01
    assert errors[2] < 1e-3


def test_training_solutions_are_met_where_the_modes_span_them():
    grid = Grid((10, 10), nodes="cell")
    model, _, _ = trained(N_TRAIN, grid, forcing=-3.0)
    a = coefficients(grid)[:N_TRAIN]
    assert relative(model(a, grid), solutions(a, grid, -3.0)) < 1e-8


def test_it_is_the_nearest_in_the_energy_norm():
    grid = Grid((9, 9))
    model, a, u = trained(3, grid)
    A = Diffusion(a[:, 0], grid)

    def energy(e):
        return float((e * A.apply(e[:, 0])[:, None]).sum())

    found = model(a, grid)
    least = energy(found - u)
    for mode in model.modes.at(grid):
        for step in (1e-3, -1e-3):
            assert energy(found + step * mode - u) > least


def test_the_bound_holds_and_is_not_far():
    grid = Grid((12, 12), nodes="cell")
    model, a, u = trained(3, grid)
    laplacian = Diffusion(torch.ones(12, 12, dtype=torch.float64), grid)

    def size(v):
        return (v * laplacian.apply(v)).flatten(1).sum(1).sqrt()

    found = model(a, grid)
    true = size((found - u)[:, 0]) / size(found[:, 0])
    bound = model.error_bound(a, grid)
    contrast = (a.flatten(1).amax(1) / a.flatten(1).amin(1)).max()
    assert (true <= bound).all()
    assert (bound <= contrast * true * 1.001).all()


def test_other_grids_are_solved_with_their_own_coefficient():
    grid, fine = Grid((16, 16), nodes="cell"), Grid((32, 30))
    model, _, _ = trained(8, grid)
    a = coefficients(fine)[N_TRAIN:]
    assert relative(model(a, fine), solutions(a, fine)) < 0.02


def test_lengths_of_the_box_count():
    unit, box = Grid((8, 8), nodes="cell"), Grid((8, 8), extent=((0, 3), (0, 3)), nodes="cell")
    model, a, _ = trained(3, unit)
    assert torch.allclose(model(a, box), 9 * model(a, unit))


def test_inputs_may_be_logarithms_and_modes_travel_with_the_weights(tmp_path):
    grid = Grid((10, 10), nodes="cell")
    model, a, _ = trained(3, grid)
    logarithmic = ReducedBasis(3, log_scale=2.0, grid=grid.describe()).double()
    logarithmic.load_state_dict(model.state_dict())
    assert torch.allclose(logarithmic(a.log() / 2, grid), model(a, grid))
    save_model(model, tmp_path / "basis")
    assert torch.equal(load_model(tmp_path / "basis")(a, grid), model(a, grid))
    assert not list(model.parameters())


def test_what_does_not_fit_is_refused():
    grid = Grid((8, 8), nodes="cell")
    model, a, u = trained(3, grid)
    with pytest.raises(ValueError, match="ReducedBasis: grid: expected Dirichlet sides, where u = 0, found"):
        model(a, Grid((8, 8), boundary="periodic", nodes="cell"))
    with pytest.raises(ValueError, match="positive"):
        model(-a, grid)
    with pytest.raises(ValueError, match="ReducedBasis: expected to have seen training data"):
        ReducedBasis(3)(torch.ones(1, 1, 8, 8))
    with pytest.raises(ValueError, match="ReducedBasis: rank: expected 1 to 3, what the 3 functions span, found 4"):
        ReducedBasis(4).adapt(a, u, grid)
    with pytest.raises(ValueError, match=r"ReducedBasis: targets: expected \(sample, 1, \*grid\)"):
        ReducedBasis(1).adapt(a, u.expand(-1, 2, -1, -1), grid)
    for options in ({"rank": 0}, {"forcing": 0.0}, {"log_scale": float("nan")}):
        with pytest.raises(ValueError, match=f"ReducedBasis: {next(iter(options))}: expected"):
            ReducedBasis(**options)
