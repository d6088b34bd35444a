"""Networks that MONAI does not have, and the list of all that a model card may name."""

from meddl.networks.registry import build_network

__all__ = ["build_network"]
