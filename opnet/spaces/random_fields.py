"""`GaussianField`, which lives in `opnet.spaces.fields.gaussian`."""

from opnet.spaces.fields.gaussian import GaussianField as GaussianField
from opnet.spaces.fields.series import BOUNDARIES as FIELD_BOUNDARIES

__all__ = ["FIELD_BOUNDARIES", "GaussianField"]
