from math import prod

import pytest
import torch

from opnet.models.blocks.factorised import FACTORISATIONS, FactorisedWeight

each_factorisation = pytest.mark.parametrize("factorisation", FACTORISATIONS)
each_parts = pytest.mark.parametrize("parts", [1, 2])
EQUATIONS = {
    "tucker": "abcd,ia,jb,kc,ld->ijkl",
    "cp": "ir,jr,kr,lr->ijkl",
    "tt": "aib,bjc,ckd,dle->ijkl",
}


def made(*arguments, **options):
    torch.manual_seed(0)
    return FactorisedWeight(*arguments, **options).double()


@each_factorisation
@each_parts
def test_the_dense_weight_is_the_published_sum(factorisation, parts):
    weight = made((3, 4, 5, 6), factorisation, 2, parts=parts)
    factors = [torch.view_as_complex(f) if parts == 2 else f for f in weight.factors]
    expected = torch.einsum(EQUATIONS[factorisation], *factors)
    found = weight()
    assert found.shape == (3, 4, 5, 6, 2)[: 3 + parts]
    assert torch.allclose(torch.view_as_complex(found) if parts == 2 else found, expected)


@each_factorisation
@each_parts
def test_one_slice_is_that_of_the_whole(factorisation, parts):
    weight = made((3, 4, 5), factorisation, 2, parts=parts)
    whole = weight()
    for layer in range(3):
        assert torch.allclose(weight(layer), whole[layer])


@each_factorisation
@each_parts
def test_new_weights_have_the_variance_asked_for(factorisation, parts):
    """Mean of |W|^2 over tensors: one tensor's own mean varies, as its entries are not independent."""
    torch.manual_seed(0)
    means = []
    for _ in range(150):
        weight = FactorisedWeight((4, 6, 8), factorisation, 0.5, parts=parts, variance=0.25)()
        means.append(weight.square().sum(-1).mean() if parts == 2 else weight.square().mean())
    assert float(torch.stack(means).detach().mean()) == pytest.approx(0.25, rel=0.2)


@each_factorisation
@pytest.mark.parametrize("shape", [(12, 23, 32, 32), (4, 16, 64, 64), (64, 64, 16)], ids=str)
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_a_share_is_that_of_the_parameters(factorisation, shape, share):
    count = sum(p.numel() for p in FactorisedWeight(shape, factorisation, share).parameters())
    assert count / prod(shape) == pytest.approx(share, rel=0.15)


@each_factorisation
def test_gradients_are_those_of_finite_differences(factorisation):
    weight = made((2, 3, 2), factorisation, 2, parts=2)
    names = [name for name, _ in weight.named_parameters()]
    assert torch.autograd.gradcheck(
        lambda *factors: torch.func.functional_call(weight, dict(zip(names, factors, strict=True)), (1,)),
        tuple(weight.parameters()),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((4, 4), "svd"), "factorisation: expected one of tucker, cp, tt, found 'svd'"),
        (((4,), "cp"), r"shape: expected at least two positive integers, found \(4,\)"),
        (((4, 0), "cp"), "shape: expected at least two positive integers"),
        (((4, 4), "cp", 0.0), r"rank: expected a share in \(0, 1\] or integers, found 0.0"),
        (((4, 4), "cp", 1.5), r"rank: expected a share in \(0, 1\] or integers, found 1.5"),
        (((4, 4), "cp", True), r"rank: expected a share in \(0, 1\] or integers, found True"),
        (((4, 4), "cp", 0), "rank: expected 1 positive, for 'cp'"),
        (((4, 4, 4), "tt", (2, 2, 2)), r"rank: expected 2 positive, for 'tt' of shape \(4, 4, 4\), found"),
        (((4, 4), "tucker", (2, 5)), r"rank: expected at most \(4, 4\), the shape, for 'tucker', found \(2, 5\)"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else "message",
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        FactorisedWeight(*arguments)
