"""What the panels let a person choose from."""

from dataclasses import fields

DEVICES = ["auto", "cpu", "cuda", "mps"]


def choices(config_class: type) -> dict[str, list[str]]:
    """The allowed values of each field of a config that has a fixed set of them."""
    return {field.name: list(field.metadata["choices"]) for field in fields(config_class)
            if "choices" in field.metadata}
