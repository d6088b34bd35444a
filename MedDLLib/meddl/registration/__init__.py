"""Registration: where the points of one volume lie in another."""

from meddl.registration.linear import register

__all__ = ["register"]
