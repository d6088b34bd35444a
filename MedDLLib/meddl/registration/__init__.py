"""Registration: where the points of one volume lie in another."""

from meddl.registration.register import register
from meddl.registration.series import register_series
from meddl.registration.template import build_template

__all__ = ["build_template", "register", "register_series"]
