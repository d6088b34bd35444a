"""What a person may choose, one frozen dataclass a verb. A default is written here and nowhere else."""

from dataclasses import dataclass, field, fields


def _option(default, help_text: str):
    return field(default=default, metadata={"help": help_text})


def field_help(config_class: type) -> dict[str, str]:
    """What each field of a config means, for tooltips and the command line."""
    return {f.name: f.metadata.get("help", "") for f in fields(config_class)}


@dataclass(frozen=True)
class SegmentConfig:
    """Choices of `meddl.segment`."""

    flip_averaging: bool = _option(
        False, "Average with the answer for the left-right mirrored head: steadier, twice the time.")
    largest_component: bool = _option(
        True, "Keep only the largest connected part of each structure.")
    confidence: bool = _option(
        False, "Also return the probability of the chosen label at each voxel.")


@dataclass(frozen=True)
class RegisterConfig:
    """Choices of `meddl.register`."""


@dataclass(frozen=True)
class SuperResolveConfig:
    """Choices of `meddl.super_resolve`."""
