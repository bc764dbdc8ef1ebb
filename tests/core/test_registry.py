import pytest

from opnet.core import registry
from opnet.solvers.ode.methods.explicit import RK4
from opnet.solvers.ode.methods.torchdiffeq import TorchDiffEq


def test_unknown_names_are_answered_with_the_nearest_known_one(monkeypatch):
    monkeypatch.setitem(registry._entries, "model", {"FNO": object(), "GraphNDE": object()})
    with pytest.raises(
        ValueError, match=r"unknown model 'FN0' \(did you mean 'FNO'\?\): expected one of FNO, GraphNDE"
    ):
        registry.lookup("model", "FN0")


def test_a_name_is_registered_once(monkeypatch):
    monkeypatch.setitem(registry._entries, "model", {})
    registry.register("model", "A")(object)
    with pytest.raises(AssertionError, match="registered twice"):
        registry.register("model", "A")(int)


def test_entries_are_built_from_plain_data():
    assert registry.build("stepper", "RK4") == RK4()
    assert registry.build("stepper", "TorchDiffEq", name="dopri8") == TorchDiffEq("dopri8")
    with pytest.raises(ValueError, match="did you mean 'RK4'"):
        registry.build("stepper", "RK45")
    with pytest.raises(ValueError, match=r"stepper RK4: .*unexpected keyword argument 'adaptive'"):
        registry.build("stepper", "RK4", adaptive=True)
