import pytest
import torch

from opnet.solvers.pde.schemes.ghosts import with_ghosts, without_ghosts


def test_corners_are_those_of_both_sides():
    w = torch.rand(3, 1, 4, 5)
    periodic = with_ghosts(w, "periodic")
    assert periodic.shape == (3, 1, 8, 9)
    assert torch.equal(periodic[..., :2, :2], w[..., -2:, -2:])
    outflow = with_ghosts(w, "outflow")
    assert bool((outflow[:, :, :2, :2] == w[:, :, :1, :1]).all())
    wall = with_ghosts(w, "wall")
    signs = torch.tensor([1.0, -1.0, -1.0])[:, None]
    assert torch.equal(wall[:, :, 1, 1], signs * w[:, :, 0, 0])
    assert torch.equal(without_ghosts(without_ghosts(wall)), w)
    assert without_ghosts(w, 1).shape == (3, 1, 2, 5)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="side: expected one of"):
        with_ghosts(torch.ones(3, 1, 4), "open")
    with pytest.raises(ValueError, match="at least 2 cells"):
        with_ghosts(torch.ones(3, 1, 1), "wall")
