import copy
import tempfile
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from opnet.models.fno import FNO
from opnet.models.multi_grid_patches import MultiGridPatches
from opnet.models.normalised import Normalised
from opnet.models.tfno import TFNO
from opnet.spaces.grid import Grid

STATISTICS = {"shift": (0.0,), "scale": (1.0,)}


def made(**options):
    torch.manual_seed(0)
    return MultiGridPatches(TFNO(6, 2, (3, 3), 4, layers=2), **options).double()


def test_one_patch_without_views_is_the_model_on_the_box():
    torch.manual_seed(0)
    model = FNO(1, 1, (3, 3), 4, layers=2).double()
    whole = MultiGridPatches(model, (1, 1), levels=0, halo=0.0, positions=False)
    inputs = torch.randn(2, 1, 8, 10, dtype=torch.float64)
    assert torch.allclose(whole(inputs), model(inputs))


def test_a_patch_feels_its_surroundings_and_nothing_beyond_them():
    model = MultiGridPatches(FNO(2, 1, (2,), 4, layers=1).double(), (8,), levels=1, halo=0.25, positions=False)
    inputs = torch.randn(1, 1, 64, dtype=torch.float64, requires_grad=True)
    model(inputs)[0, 0, :8].sum().backward()
    # The part of 8 with a halo of 2 has 12 cells about 4; twice as many reach from -8 to 16.
    felt = inputs.grad[0, 0] != 0
    assert felt[:16].all()
    assert not felt[16:].any()


def test_coordinates_tell_the_patches_apart():
    inputs = torch.ones(1, 1, 16, 16, dtype=torch.float64)
    parts = made()(inputs)[0, 0].unfold(0, 8, 8).unfold(1, 8, 8).flatten(0, 1)
    assert not torch.allclose(parts[0], parts[3], rtol=1e-3)


def answers(model):
    """Outputs and all gradients of one step, inputs' included."""
    torch.manual_seed(1)
    inputs = torch.randn(1, 1, 12, 16, dtype=torch.float64, requires_grad=True)
    outputs = model(inputs, Grid((12, 16), boundary="periodic"))
    outputs.square().sum().backward()
    return [outputs.detach(), inputs.grad, *(p.grad for p in model.parameters())]


def one_of_several(rank, world, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    torch.set_num_threads(1)
    model = made(patches=(1, 2)).spread().spread()  # the second takes the first one's hooks away
    found = answers(model)
    if rank == 0:  # a copy is not spread: it waits for nobody
        assert torch.allclose(answers(copy.deepcopy(model))[0], found[0])
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3], ids=["as many as patches", "more than patches"])
def test_answers_and_gradients_do_not_depend_on_the_number_of_processes(world):
    expected = answers(made(patches=(1, 2)))
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(one_of_several, (world, folder), nprocs=world)
        for rank in range(world):
            found = torch.load(Path(folder) / f"{rank}.pt", weights_only=True)
            for one, several in zip(expected, found, strict=True):
                assert torch.allclose(one, several, rtol=1e-12, atol=1e-14)


def test_spreading_needs_processes():
    with pytest.raises(ValueError, match=r"spread: expected an initialised .* group, found none"):
        made().spread()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": Normalised(FNO(6, 1, (2, 2), 4), STATISTICS, STATISTICS)}, "model: expected an .*found Normalised"),
        ({"patches": (2,)}, r"patches: expected a positive number for each of 2 axes, found \(2,\)"),
        ({"patches": (2, 0)}, "patches: expected a positive number for each of 2 axes"),
        ({"levels": -1}, "levels: expected at least 0, found -1"),
        ({"levels": 2}, r"model: expected \(c \+ 2\) \* 3 in_channels, of c channels and the coordinates in 3 views"),
        ({"halo": 1.5}, r"halo: expected a fraction of the patch in \[0, 1\], found 1.5"),
        ({"fill": "mirror"}, "fill: expected one of edge, zero, found 'mirror'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "message",
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        MultiGridPatches(**{"model": FNO(6, 1, (2, 2), 4), **options})
