"""The slice thickness that a DICOM header states."""

from dataclasses import replace
from pathlib import Path

from meddl.core.config import SuperResolveConfig
from meddl.io import slice_thickness_mm
from meddl.spatial.volume import Volume


def with_stated_thickness(config: SuperResolveConfig, volume: Volume, path: str | Path,
                          series: str | int | None = None) -> SuperResolveConfig:
    """The configuration with the slice thickness of the file's header, where it has none itself and resolution is
    enhanced across the slices.

    Args:
        volume: as it was read from `path`, and of its `series`.
    """
    across = volume.spacing_mm.argmax() == 2 if config.axis is None else config.axis == 2
    if config.thickness_mm is not None or not across:
        return config
    return replace(config, thickness_mm=slice_thickness_mm(path, series))
