import pytest

from opnet.core import registry


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
