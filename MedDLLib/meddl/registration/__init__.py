"""Registration: where the points of one volume lie in another."""

from meddl.registration.pipeline import register

__all__ = ["register"]
