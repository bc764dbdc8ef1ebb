import copy

import pytest
import torch

from opnet.models.blocks.factorised import FACTORISATIONS
from opnet.models.fno import FNO
from opnet.models.tfno import TFNO

each_factorisation = pytest.mark.parametrize("factorisation", FACTORISATIONS)
each_joint = pytest.mark.parametrize("joint", [False, True], ids=["separate", "joint"])


def double(model):
    return model.double().eval()


@each_factorisation
@each_joint
@pytest.mark.parametrize("options", [{}, {"basis": "cosine", "symmetric": True}], ids=["fourier", "symmetric"])
def test_factors_act_as_the_dense_weights_they_make(factorisation, joint, options):
    torch.manual_seed(0)
    model = double(TFNO(1, 1, (4, 4), 6, layers=3, factorisation=factorisation, rank=0.5, joint=joint, **options))
    dense = double(FNO(1, 1, (4, 4), 6, layers=3, **options))
    weights = {name: value for name, value in model.state_dict().items() if "factors" not in name}
    with torch.no_grad():
        for layer, spectral in enumerate(model.spectral):
            made = spectral.weight().reshape(dense.spectral[layer].weight.shape)
            weights[f"spectral.{layer}.weight"] = made
    dense.load_state_dict(weights)
    inputs = torch.randn(2, 1, 9, 10 if not options else 9, dtype=torch.float64)
    assert torch.allclose(model(inputs), dense(inputs))


@each_factorisation
def test_the_rank_is_a_share_of_the_spectral_parameters(factorisation):
    def spectral(model):
        return sum(p.numel() for name, p in model.named_parameters() if "factors" in name or "spectral" in name)

    dense = spectral(FNO(1, 1, (8, 8), 16))
    for joint in (False, True):
        model = TFNO(1, 1, (8, 8), 16, factorisation=factorisation, rank=0.1, joint=joint)
        assert spectral(model) / dense == pytest.approx(0.1, rel=0.15)


@each_joint
def test_a_new_layer_keeps_the_energy_of_the_dense_one(joint):
    torch.manual_seed(0)
    weights = [TFNO(1, 1, (4, 4), 16, layers=1, joint=joint).spectral[0].dense_weight() for _ in range(60)]
    plain = FNO(1, 1, (4, 4), 16, layers=1).spectral[0].dense_weight()
    assert float((torch.stack(weights).square().mean() / plain.square().mean()).detach()) == pytest.approx(1, rel=0.2)


def test_joint_factors_are_shared_by_the_layers_and_by_a_copy_of_its_own():
    torch.manual_seed(0)
    model = double(TFNO(1, 1, (4, 4), 6, layers=2, joint=True))
    assert [name for name in model.state_dict() if "factors" in name] == [f"joint.factors.{i}" for i in range(6)]
    inputs = torch.randn(1, 1, 9, 9, dtype=torch.float64)
    before, other = model(inputs), copy.deepcopy(model)
    with torch.no_grad():
        other.joint.factors[0].mul_(2)
    assert torch.equal(model(inputs), before)
    assert not torch.equal(other(inputs), before)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (TFNO, {"factorisation": None}, "TFNO: factorisation: expected tucker, cp or tt, found None"),
        (FNO, {"factorisation": "svd"}, "FNO: factorisation: expected one of tucker, cp, tt or None, found 'svd'"),
        (FNO, {"joint": True}, "FNO: joint: expected a factorisation with it, found none"),
        (FNO, {"rank": 0.5}, "FNO: rank: expected a factorisation with it, found none"),
        (TFNO, {"rank": 2.0}, "rank: expected a share"),
    ],
)
def test_wrong_arguments_are_named(model, options, message):
    with pytest.raises(ValueError, match=message):
        model(1, 1, (4, 4), 4, **options)


def test_factors_are_not_widened():
    with pytest.raises(ValueError, match="with_modes: expected a model without factorisation, found 'tucker'"):
        TFNO(1, 1, (4, 4), 4).with_modes((5, 5))
