"""Array types used in signatures, from jaxtyping; shapes are checked under the tests."""

from __future__ import annotations

from jaxtyping import Bool, Complex, Float, Inexact, Int

__all__ = ["Bool", "Complex", "Float", "Inexact", "Int"]
