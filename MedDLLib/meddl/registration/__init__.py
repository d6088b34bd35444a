"""Registration: where the points of one volume lie in another."""

from meddl.registration.pipeline import register
from meddl.registration.series import register_series

__all__ = ["register", "register_series"]
