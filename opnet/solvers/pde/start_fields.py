"""Initial fields by the names under which they were published, and which of their modes a solver has to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opnet.core.expect import expect
from opnet.spaces.fields.base import RandomField
from opnet.spaces.fields.gaussian import GaussianField


def chosen(name: str, field: RandomField | str, published: Mapping[str, RandomField]) -> RandomField:
    """The field, or the published one of that name.

    Raises:
        ValueError: for an unknown name, or neither.
    """
    expected = "a random field or " + " or ".join(map(repr, published))
    if not isinstance(field, str):
        expect(name, field, RandomField, expected)
        return field
    if field not in published:
        raise ValueError(f"{name}: expected {expected}, found {field!r}")
    return published[field]


def largest_mode(fields: Sequence[RandomField]) -> int:
    """Of the Gaussian ones; 0 if there are none."""
    return max((field.max_mode for field in fields if isinstance(field, GaussianField)), default=0)
