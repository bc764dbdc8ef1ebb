import pytest

from opnet.core import products


@pytest.fixture(params=["fused", "plain"])
def _path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products by the processor's library and by torch."""
    if request.param == "plain":
        monkeypatch.setattr(products, "operation", lambda: None)
    elif products.operation() is None:
        pytest.skip("this build of torch has no fused layer")
