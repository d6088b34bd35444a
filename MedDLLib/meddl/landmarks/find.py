"""The verb `meddl.find_landmarks`: named points of a head."""

import numpy as np

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report, span
from meddl.io import VolumeLike, as_volume
from meddl.landmarks.alignment import lateral_direction
from meddl.landmarks.commissures import AC_MM, AROUND, FEWEST, PC_MM, map_by_centers
from meddl.landmarks.own import find_own
from meddl.landmarks.result import AC, PC, Landmarks
from meddl.landmarks.structure_centers import StructureCenter, structure_centers
from meddl.models.store.store import ModelStore
from meddl.recognition.recognize import recognize
from meddl.results import Segmentation
from meddl.samples import head_labels
from meddl.segmentation import segment
from meddl.spatial.points import Points

MODEL = "brain"
CENTERS = {"Left thalamus": 10, "Right thalamus": 49, "Left putamen": 12, "Right putamen": 51, "Left hippocampus": 17,
           "Right hippocampus": 53, "Left amygdala": 18, "Right amygdala": 54, "Third ventricle": 14,
           "Fourth ventricle": 15}
NAMES = (AC, PC, *CENTERS)
_PAIRS = ((2, 41), (3, 42), (7, 46), (8, 47), (10, 49), (11, 50), (12, 51), (13, 52), (17, 53), (18, 54), (28, 60))
_LEAST_CONFIDENCE = 0.5  # mean of the structures that are found: see `docs/benchmarks.md`
_LEAST_VOLUME = 0.25  # of a structure's volume in the average head: less of it is no structure
_LEAST_LANDMARKS = 4


def find_landmarks(volume: VolumeLike, *, model: str = MODEL, device: str = "auto", store: ModelStore | None = None,
                   on_progress: ProgressCallback | None = None) -> Landmarks:
    """Find landmarks of the brain in a head: the commissures AC and PC, and centers of structures; or the landmarks and
    boxes of a model of one's own, in the volumes that it is for.

    By default the volume is segmented with the model `brain`; a landmark is the center of mass of a structure; AC and
    PC are mapped from the average head by the centers of the structures around them. What is not in the field of view
    is left out, with a warning.

    Args:
        volume: (1, I, J, K), a head of any contrast, whole or stripped, any axes and spacing; or the path of a file.
        model: identifier of a model that `meddl.train_landmarks` made, or "brain".
        device: auto, cpu, cuda, cuda:N or mps.
        store: where models are installed; the usual place where None.

    Returns:
        The points in RAS mm, with confidence; `ac_pc_matrix` and `alignment` for AC-PC alignment.

    Raises:
        InputError: the volume shows no head, or a head of which too little is seen; with a model of one's own: nothing
            is found in it.
        GeometryError: the volume's affine cannot be used.
        ModelNotFoundError, ModelError, IntegrityError: the model cannot be used.
        OutOfMemoryError: the volume does not fit into memory.
        Cancelled: from `on_progress`.
    """
    if model != MODEL:
        return find_own(as_volume(volume, component="all"), model, device, store, on_progress)
    volume = as_volume(volume, "volume")
    report(on_progress, 0.0, "Looking at the volume")
    seen = recognize(volume)
    if seen.region not in ("head", "unknown"):
        raise InputError(f"The volume shows {seen.describe()}: these landmarks are those of a head.")
    found = segment(volume, MODEL, device=device, on_progress=span(on_progress, 0.05, 0.95))
    report(on_progress, 0.95, "Measuring the structures")
    reference, centers = average_head(), structure_centers(found.labels, found.grid, [
        one.value for one in found.segments])
    confidence = _confidence(found)
    usable = {value: one for value, one in centers.items() if value in reference and not one.at_edge
              and one.volume_ml > _LEAST_VOLUME * reference[value].volume_ml}
    _check(usable, confidence)
    points = {name: (usable[value].position_mm, confidence[value]) for name, value in CENTERS.items()
              if value in usable}
    points.update(_commissures(usable, reference, confidence))
    missing = [name for name in NAMES if name not in points]
    warnings = [*seen.warnings(), *found.report["warnings"]]
    if missing:
        warnings.append(f"Not seen, or not whole in the field of view: {', '.join(missing)}.")
    named = [name for name in NAMES if name in points]
    pairs = [(usable[left].position_mm, usable[right].position_mm) for left, right in _PAIRS
             if left in usable and right in usable]
    report(on_progress, 1.0, "Done")
    return Landmarks(Points(np.array([points[name][0] for name in named]), tuple(named)),
                     tuple(round(float(points[name][1]), 3) for name in named), lateral_direction(pairs),
                     {"model": MODEL, "seconds": found.report["seconds"], "device": found.report["device"],
                      "peak_memory_mb": found.report["peak_memory_mb"], "warnings": warnings, "missing": missing})


def average_head() -> dict[int, StructureCenter]:
    """The structures of the average head."""
    labels, grid = head_labels()
    return structure_centers(labels, grid, [one.value for one in ModelStore().card(MODEL).segments])


def _confidence(found: Segmentation) -> dict[int, float]:
    """The mean probability of each structure, by label value."""
    by_name = found.report["confidence"]
    return {one.value: by_name[one.name] for one in found.segments if one.name in by_name}


def _check(usable: dict[int, StructureCenter], confidence: dict[int, float]) -> None:
    """Raises InputError where what was found is no head."""
    seen = [confidence[value] for value in usable]
    if len([value for value in CENTERS.values() if value in usable]) < _LEAST_LANDMARKS:
        raise InputError("Too few structures of a brain were found in the volume: it shows no head, only a small part "
                         "of one, or its axes do not fit the anatomy (see `meddl info`).")
    if np.mean(seen) < _LEAST_CONFIDENCE:
        raise InputError(f"The volume looks unlike a head: the mean confidence is {np.mean(seen):.2f}, "
                         f"{_LEAST_CONFIDENCE:g} is the least.")


def _commissures(usable: dict[int, StructureCenter], reference: dict[int, StructureCenter],
                 confidence: dict[int, float]) -> dict[str, tuple[np.ndarray, float]]:
    """AC and PC with their confidence; nothing where too few structures around them were found."""
    around = [value for value in AROUND if value in usable]
    if len(around) < FEWEST:
        return {}
    there, here = (np.array([one[value].position_mm for value in around]) for one in (reference, usable))
    sure = np.array([confidence[value] for value in around])
    found = {}
    for name, point in ((AC, AC_MM), (PC, PC_MM)):
        position, weights = map_by_centers(np.array(point), there, here)
        found[name] = position, float(weights @ sure)
    return found
