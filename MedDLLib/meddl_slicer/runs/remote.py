"""What the worker process runs for the modules: a verb of `meddl`, its result made ready for the scene.

Arrays are laid out as nodes hold them (i fastest) and surfaces are computed here, so that the
application only copies memory.
"""

from dataclasses import asdict, replace

import numpy as np

from meddl.core.progress import report, span
from meddl.results import Registration, Segmentation, SuperResolution
from meddl.spatial.grid import Grid
from meddl.spatial.points import match_points
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.registration_results import (
    RegistrationResults,
    RequestedOutputs,
    SeriesResults,
    make_results,
    make_series_results,
    union,
)
from meddl_slicer.mrml.surfaces import label_surfaces


def segment(volume: Volume, model: str, config, *, others=(), roi=None, device: str = "auto",
            surfaces: np.ndarray | None = None, on_progress=None):
    """`meddl.segment`; `roi` is as `roi.read_roi` gives it; see `ready_segmentation` for `surfaces` and the result."""
    from meddl.segmentation import segment as run

    inner = span(on_progress, 0.0, 0.98 if surfaces is None else 0.85)
    roi = union(roi, volume) if isinstance(roi, tuple) else roi
    found = run(volume, model, config, others=others, roi=roi, device=device, on_progress=inner)
    return ready_segmentation(found, surfaces, span(on_progress, 0.85, 1.0))


def register(fixed: Volume, moving: Volume, config, *, requested: RequestedOutputs | None = None,
             initial: Registration | None = None, device: str = "auto", on_progress=None) -> RegistrationResults:
    """`meddl.register`, and what is wanted of its result, ready for the scene."""
    from meddl.registration import register as run

    requested = requested or RequestedOutputs()
    guide = None
    if requested.landmarks is not None and requested.landmarks_guide:
        guide = match_points(*requested.landmarks)
    found = run(fixed, moving, config, fixed_mask=union(requested.masks[0], fixed),
                moving_mask=union(requested.masks[1], moving), initial=initial, landmarks=guide, device=device,
                on_progress=span(on_progress, 0.0, 0.85))
    return make_results(found, fixed, moving, requested, span(on_progress, 0.85, 1.0))


def register_series(frames: list[Volume], config, *, reference: int | str = 0, interpolation: str = "linear",
                    device: str = "auto", on_progress=None) -> SeriesResults:
    """`meddl.register_series`, ready for the scene."""
    from meddl.registration import register_series as run

    found = run(frames, config, reference=reference, interpolation=interpolation, device=device,
                on_progress=span(on_progress, 0.0, 0.97))
    return make_series_results(found, span(on_progress, 0.97, 1.0))


def super_resolve(volume: Volume | list[Volume], config, *, reference: Volume | None = None, device: str = "auto",
                  on_progress=None) -> SuperResolution:
    """`meddl.super_resolve`, its volume in the layout of a node."""
    from meddl.superres import super_resolve as run

    found = run(volume, config, reference=reference, device=device, on_progress=span(on_progress, 0.0, 0.98))
    difference = None if found.difference is None else as_node_layout(found.difference)
    return replace(found, volume=as_node_layout(found.volume), difference=difference)


def detect_acquisition(volume: Volume, config, *, on_progress=None) -> dict:
    """What `meddl.superres.acquisition.detect` sees, field by field."""
    from meddl.superres.acquisition.detect import detect

    return asdict(detect(volume, config))


def recognize(volume: Volume, modality: str | None = None, *, on_progress=None):
    """`meddl.recognize`."""
    from meddl.recognition.recognize import recognize as run

    return run(volume, modality)


def ready_segmentation(found: Segmentation, surfaces: np.ndarray | None, on_progress=None):
    """A segmentation for the scene.

    Args:
        surfaces: 4x4, voxel index to the mm that surfaces are wanted in; None: none are.

    Returns:
        (Segmentation, surfaces by label value as of `surfaces.label_surfaces`, None where not wanted).
    """
    labels = np.asfortranarray(found.labels)
    confidence = None if found.confidence is None else np.asfortranarray(found.confidence)
    made = None
    if surfaces is not None:
        made = label_surfaces(labels, surfaces, [segment.value for segment in found.segments], on_progress)
    report(on_progress, 1.0, "Handing over")
    return Segmentation(labels, found.affine, found.segments, confidence, found.report), made


def install_catalog_model(identifier: str, *, cache: str, on_progress=None) -> str:
    """Install a model of the catalog in this folder; its identifier. Raises as `installation.install_entry`."""
    from meddl.models.catalog.catalog import find_entry
    from meddl.models.store.installation import install_entry
    from meddl.models.store.store import ModelStore

    return install_entry(find_entry(identifier), ModelStore(cache=cache), on_progress=on_progress).id


def import_model(source: str, *, cache: str, confirmed_sha256: str | None = None, on_progress=None) -> str:
    """Install what lies in a file or folder; its identifier. See `installation.import_from_disk`."""
    from meddl.models.store.installation import import_from_disk
    from meddl.models.store.store import ModelStore

    return import_from_disk(source, ModelStore(cache=cache), confirmed_sha256=confirmed_sha256,
                            on_progress=on_progress).id


def export_model(model: str, place: str, kind: str, *, cache: str, on_progress=None) -> tuple[str, tuple[str, ...]]:
    """Write an installed model for others; where it is, and what is not as it was. See `meddl.export_model`."""
    from meddl.models.store.export import export_model as export
    from meddl.models.store.store import ModelStore

    exported = export(model, place, kind, store=ModelStore(cache=cache), on_progress=on_progress)
    return str(exported.path), exported.notes


def expect_run(verb: str, grids, config, *, model: str | None = None, device: str = "auto",
               on_progress=None) -> tuple[float, float]:
    """Seconds and MB that a run will take, about, from its counted operations.

    Args:
        verb: "segment", "register", "superResolve" or "denoiseSequence".
        grids: (shape, affine) of each input volume; of a sequence, that of each frame.
        model: of a segmentation.
    """
    from meddl.registration.run_estimate import expected_registration
    from meddl.segmentation.run_estimate import expected_run
    from meddl.series.run_estimate import expected_denoising
    from meddl.superres.run_estimate import expected_super_resolution
    from meddl.superres.stacks.run_estimate import expected_stacks

    where = [Grid(tuple(shape), np.array(affine)) for shape, affine in grids]
    if verb == "segment":
        found = expected_run(model, where[0].shape, where[0].affine, config, device=device)
    elif verb == "register":
        found = expected_registration(*where, config, device=device)
    elif verb == "denoiseSequence":
        found = expected_denoising(where[0], len(where), config, device=device)
    elif len(where) > 1:
        found = expected_stacks(where, config, device=device)
    else:
        found = expected_super_resolution(*where, config, device=device)
    return found.seconds, found.memory_bytes / 1e6


def describe_device(device: str = "auto", *, on_progress=None) -> str:
    """The device that a run would take, in words."""
    from meddl.core.device import describe, select_device

    return describe(select_device(device))


def as_node_layout(volume: Volume) -> Volume:
    """The volume with i the fastest axis in memory."""
    return Volume(np.asfortranarray(volume.data), volume.affine)
