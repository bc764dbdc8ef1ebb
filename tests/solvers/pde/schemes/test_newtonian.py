from math import inf

import pytest
import torch

from opnet.solvers.pde.schemes.newtonian import Newtonian


def test_shear_and_compression_by_hand():
    """v = (x^2 + 3 x y, y^2): second differences of quadratics are exact."""
    x = torch.arange(6, dtype=torch.float64)[:, None] * 0.5
    y = torch.arange(5, dtype=torch.float64) * 0.25
    v = x**2 + 3 * x * y, (y**2).expand(6, 5)
    w = torch.stack([torch.ones(6, 5, dtype=torch.float64), *v, torch.ones(6, 5, dtype=torch.float64)])[:, None]
    rate = Newtonian(0.3, 0.7).rate(w, (0.5, 0.25))[:, 0]
    # eta lap v + (zeta + eta / 3) grad div v with lap v = (2, 2), div v = 2 x + 5 y
    torch.testing.assert_close(rate[1], torch.full_like(rate[1], 0.3 * 2 + 0.8 * 2))
    torch.testing.assert_close(rate[2], torch.full_like(rate[2], 0.3 * 2 + 0.8 * 5))
    assert float(rate[0].abs().max()) == 0


def test_turning_as_a_whole_costs_nothing():
    x, y = torch.meshgrid(*[torch.arange(6, dtype=torch.float64)] * 2, indexing="ij")
    one = torch.ones_like(x)
    w = torch.stack([one, -y, x, one])[:, None]
    assert float(Newtonian(1.0, 1.0).rate(w, (1.0, 1.0)).abs().max()) < 1e-12


def test_limits_and_arguments():
    assert Newtonian(0.0, 0.0).limit((0.1,)) == inf
    assert Newtonian(0.75, 1.0).limit((0.1, 0.1)) == pytest.approx(0.01 / 8)
    with pytest.raises(ValueError, match=r"Newtonian\.zeta: expected"):
        Newtonian(0.0, -1.0)
