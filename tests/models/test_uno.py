import pytest
import torch

from opnet.models.uno import UNO


@pytest.mark.parametrize("dim", [1, 3])
def test_one_and_three_dimensions(dim):
    shape = (16, 17, 18)[:dim]
    assert UNO(2, 3, (4,) * dim, 4, levels=2)(torch.randn(1, 2, *shape)).shape == (1, 3, *shape)


def test_levels_have_half_the_modes_of_twice_the_channels():
    model = UNO(1, 1, (8, 5), 4, levels=2)
    assert model.modes == [(8, 5), (4, 3), (2, 2)]
    assert [layer.weight.shape[1] for layer in model.spectral] == [4, 8, 16, 8, 4]


def test_the_skips_carry_what_the_coarse_grids_do_not():
    """A wave that no coarse grid resolves passes by the finest level alone, and is seen there."""
    torch.manual_seed(0)
    model = UNO(1, 1, (2,), 4, levels=2).double()
    wave = torch.cos(torch.pi * torch.arange(32, dtype=torch.float64)).reshape(1, 1, 32)
    answer = (model(wave) - model(0 * wave))[0, 0]
    assert float((answer[1:-1:2] - answer[2:-1:2]).abs().min().detach()) > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "UNO: width: expected at least 1, found 0"),
        ({"levels": 0}, "UNO: levels: expected at least 1, found 0"),
        ({"modes": (4, 0)}, "UNO: modes: expected one to three positive numbers"),
        ({"basis": "wavelet"}, "UNO: basis: expected one of fourier, cosine, sine, found 'wavelet'"),
        ({"basis": "cosine", "padding": 0.5}, "UNO: padding: expected 0, or"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "message",
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        UNO(1, 1, **{"modes": (4, 4), "width": 4, **options})
