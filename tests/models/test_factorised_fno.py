import pytest
import torch

from opnet.models.factorised_fno import FactorisedFNO
from opnet.spaces.grid import Grid


def test_a_layer_is_the_published_one():
    """Against FFTs on a periodic grid, axis by axis: sum over |k| < m of (R_k v_k) exp(2 pi i k x)."""
    torch.manual_seed(0)
    model = FactorisedFNO(1, 1, modes=(3, 4), width=2, layers=1).double()
    grid = Grid((10, 11), boundary="periodic")
    inputs = torch.randn(2, 1, 10, 11, dtype=torch.float64)
    v = model.lifting(torch.cat([inputs, grid.coordinates().expand(2, 2, 10, 11)], 1).movedim(1, -1))
    total = torch.zeros_like(v)
    for axis, convolution in enumerate(model.spectral[0]):
        weight = torch.view_as_complex(convolution.weight.detach())
        spectrum = torch.fft.rfft(v, dim=1 + axis).movedim(1 + axis, 0)
        mixed = torch.zeros_like(spectrum)
        for k, R in enumerate(weight):
            mixed[k] = spectrum[k] @ R
        total = total + torch.fft.irfft(mixed.movedim(0, 1 + axis), n=v.shape[1 + axis], dim=1 + axis)
    expected = model.projection(v + model.mlps[0](total))[..., 0]
    assert torch.allclose(model(inputs, grid)[:, 0], expected)


@pytest.mark.parametrize("dim", [1, 3])
def test_one_and_three_dimensions(dim):
    shape = (8, 9, 10)[:dim]
    assert FactorisedFNO(2, 3, (3,) * dim, 4, layers=2)(torch.randn(2, 2, *shape)).shape == (2, 3, *shape)


def test_shared_layers_have_one_spectral_weight():
    one, four = FactorisedFNO(1, 1, (4, 4), 4, shared=True), FactorisedFNO(1, 1, (4, 4), 4)
    assert four.n_parameters - one.n_parameters == 3 * 2 * (4 * 4 * 4 * 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "FactorisedFNO: width: expected at least 1, found 0"),
        ({"mlp_width": 0}, "FactorisedFNO: mlp_width: expected at least 1, found 0"),
        ({"modes": (4, 0)}, "FactorisedFNO: modes: expected one to three positive numbers"),
        ({"basis": "wavelet"}, "FactorisedFNO: basis: expected one of fourier, cosine, sine, found 'wavelet'"),
        ({"basis": "cosine", "padding": 0.5}, "FactorisedFNO: padding: expected 0, or"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "message",
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        FactorisedFNO(1, 1, **{"modes": (4, 4), "width": 4, **options})
