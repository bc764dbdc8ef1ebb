from dataclasses import replace

import pytest
import torch

from opnet.core.errors import SolveError
from opnet.solvers.pde import semilinear_periodic
from opnet.solvers.pde.allen_cahn import AllenCahn
from opnet.solvers.pde.fisher_kpp import FisherKPP
from opnet.solvers.pde.korteweg_de_vries import KortewegDeVries
from opnet.solvers.pde.kuramoto_sivashinsky import KuramotoSivashinsky
from opnet.spaces.fields.fourier import FourierField

SOLITONS = KortewegDeVries(times=20.0, length=60.0, step=0.05)


def test_as_many_modes_as_the_tail_asks_for():
    few, many = (replace(SOLITONS, nodes=n).sample(0, [0, 3], 48, estimate_error=False) for n in (8, 256))
    torch.testing.assert_close(few.targets, many.targets, rtol=0, atol=1e-7)
    assert float(few.diagnostics["spectrum_tail"].max()) <= 1e-16


def test_where_modes_run_out_the_tail_says_so(monkeypatch):
    monkeypatch.setattr(KortewegDeVries, "most", {1: 16})
    samples = replace(SOLITONS, nodes=16).sample(0, [0], 48)
    assert float(samples.diagnostics["spectrum_tail"]) > 1e-8
    assert float(samples.discretisation_error) > 1e-3


@pytest.mark.parametrize(
    "problem",
    [
        replace(SOLITONS, step=0.1, nodes=128),
        KuramotoSivashinsky(times=(0.0, 10.0, 20.0), length=22.0, step=0.1),
        AllenCahn(diffusivity=1e-2, step=0.05),
    ],
)
def test_the_estimate_is_the_error(problem):
    samples = problem.sample(0, range(4), 32)
    truth = replace(problem, step=problem.step / 8).sample(0, range(4), 32, estimate_error=False).targets
    error = (samples.targets - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)
    ratio = samples.discretisation_error / error
    assert 0.8 < float(ratio.min()) <= float(ratio.max()) < 1.25


def test_uneven_frames_end_where_they_should():
    path = replace(SOLITONS, times=(0.0, 0.03, 1.0, 1.7)).sample(0, [1], 32, estimate_error=False)
    end = replace(SOLITONS, times=1.7).sample(0, [1], 32, estimate_error=False)
    torch.testing.assert_close(path.targets[:, -1], end.targets, rtol=0, atol=1e-6)


def test_batches_do_not_change_samples(monkeypatch):
    whole = SOLITONS.sample(0, range(3), 32, estimate_error=False).targets
    monkeypatch.setattr(semilinear_periodic, "VALUES_AT_ONCE", 1)
    torch.testing.assert_close(SOLITONS.sample(0, range(3), 32, estimate_error=False).targets, whole)


def test_what_blows_up_is_named():
    below = FisherKPP(times=2.0, rho=10.0, initial=FourierField(1, sigma=5.0))
    with pytest.raises(SolveError, match=r"FisherKPP sample 4 of seed 0.*by time 2"):
        below.sample(0, [4], 8, estimate_error=False)
