"""Small real computations for tests of the bridge: what the worker runs in place of a verb of `meddl`."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from meddl.classification.result import Classification
from meddl.core.progress import preview, report
from meddl.landmarks.result import Landmarks
from meddl.results import Explanation, Registration, Segment, Segmentation, SuperResolution, Uncertainty
from meddl.spatial.points import Points
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.registration_results import RequestedOutputs, make_results, union
from meddl_slicer.runs.remote import ready_segmentation

ANATOMY = ["SCT", "123037004", "Anatomical Structure"]
SEGMENTS = (
    Segment(1, "dim", (0.2, 0.4, 0.9), None),
    Segment(17, "left hippocampus", (0.9, 0.8, 0.1),
            {"category": ANATOMY, "type": ["SCT", "5366008", "Hippocampus"], "modifier": ["SCT", "7771000", "Left"]}),
    Segment(53, "right hippocampus", (0.1, 0.8, 0.2),
            {"category": ANATOMY, "type": ["SCT", "5366008", "Hippocampus"],
             "modifier": ["SCT", "24028007", "Right"]}),
    Segment(99, "never there", (1.0, 1.0, 1.0), None),
)


def threshold(volume: Volume, model: str = "threshold", config=None, *, device: str = "auto",
              surfaces: np.ndarray | None = None, on_progress=None):
    """Dim voxels (50 to 150) are 1; bright ones are 17 left of the world's midplane and 53 right of it.

    Left is a smaller R coordinate, in world RAS mm: the answer depends on where the volume really lies.
    """
    data = volume.scalar_data
    labels = np.zeros(data.shape, np.uint8)
    labels[(data > 50) & (data <= 150)] = 1
    places = np.argwhere(data > 150)
    right = volume.grid.points_mm(places)[:, 0] > 0
    labels[tuple(places.T)] = np.where(right, 53, 17)
    confidence = np.full(data.shape, 0.75, np.float32) if getattr(config, "confidence", False) else None
    ml = float(abs(np.linalg.det(volume.affine[:3, :3]))) / 1000
    volumes = {s.name: float((labels == s.value).sum() * ml) for s in SEGMENTS}
    found = Segmentation(labels, volume.affine, SEGMENTS, confidence, {
        "seconds": {"predict": 0.01}, "device": "cpu", "peak_memory_mb": 100.0, "warnings": [],
        "volumes_ml": volumes, "confidence": {"dim": 0.5}, "model": model})
    report(on_progress, 0.9, "Thresholding")
    return ready_segmentation(found, surfaces, on_progress)


def doubtful_threshold(volume: Volume, *given, surfaces: np.ndarray | None = None, on_progress=None, **more):
    """`threshold` with a warning."""
    found = threshold(volume, *given, **more)[0]
    found.report["warnings"].append("The volume looks unlike a head.")
    return ready_segmentation(found, surfaces, on_progress)


def slow_comparison(*given, on_progress=None, **more):
    """No comparison, after ten seconds of small steps."""
    for step in range(500):
        report(on_progress, 0.05 + step / 1000, "Comparing slowly")
        time.sleep(0.02)


def slow_threshold(volume: Volume, model: str = "threshold", config=None, *, device: str = "auto",
                   surfaces: np.ndarray | None = None, on_progress=None):
    """`threshold` after two seconds of small steps."""
    for step in range(100):
        report(on_progress, step / 100, "Thinking")
        time.sleep(0.02)
    return threshold(volume, model, config, device=device, surfaces=surfaces, on_progress=on_progress)


def counting(number: int, seconds: float = 0.05, *, on_progress=None) -> int:
    """Shows 0, 1, 2, ... as previews."""
    for index in range(number):
        report(on_progress, index / number, "Counting")
        preview(on_progress, index)
        time.sleep(seconds)
    return number


def quick_estimate(verb: str, grids, config, *, model=None, device: str = "auto", on_progress=None):
    """Seconds and MB of a run, in place of the worker's own estimate."""
    return 7.0, 1500.0


def unrecognized(volume, modality=None, *, on_progress=None):
    """Knows nothing of any volume, in place of the classifier."""
    from meddl.recognition.result import Recognition

    return Recognition()


def slow_install(what: str, *, cache: str, on_progress=None) -> str:
    """Installs nothing in two seconds of small steps; a name that ends in "broken" fails."""
    from meddl.core.errors import ModelError

    if what.endswith("broken"):
        raise ModelError("The server answered 404.")
    for step in range(100):
        report(on_progress, step / 100, f"Downloading {step}.0 of 100.0 MB")
        time.sleep(0.02)
    return what


def quick_install(what: str, *, cache: str, on_progress=None) -> str:
    """Writes the card of a model of this name into the cache."""
    from bridge_cards import install_card

    report(on_progress, 0.5, "Installing")
    name = Path(what).name.removesuffix(".zip")
    install_card(Path(cache).parent, name, "CC BY 4.0")
    return name


def suspicious_install(what: str, *, cache: str, confirmed_sha256: str | None = None, on_progress=None) -> str:
    """`quick_install`, once the right SHA-256 was confirmed."""
    from meddl.core.errors import ConfirmationError

    if confirmed_sha256 != "ab" * 32:
        raise ConfirmationError(f"It is a program. Confirm its SHA-256: {'ab' * 32}")
    return quick_install(what, cache=cache)


def threshold_with_previews(volume: Volume, model: str = "threshold", config=None, *, device: str = "auto",
                            surfaces: np.ndarray | None = None, on_progress=None):
    """`threshold`, which shows its labels as a preview and then thinks for two seconds."""
    found = threshold(volume, model, config, device=device)[0]
    for step in range(50):
        report(on_progress, step / 50, "Thinking")
        if step == 5:
            preview(on_progress, {"kind": "labels", "labels": Volume.scalar(found.labels, volume.affine),
                                  "colors": {1: (50, 100, 230), 17: (230, 200, 20), 53: (20, 200, 50)}})
        time.sleep(0.02)
    return threshold(volume, model, config, device=device, surfaces=surfaces, on_progress=on_progress)


def stubborn_threshold(volume: Volume, *args, on_progress=None, **kwargs):
    """Never asks whether it was cancelled."""
    report(on_progress, 0.1, "Not listening")
    time.sleep(30)


def bad_threshold(volume: Volume, *args, on_progress=None, **kwargs):
    """Fails as a verb does on bad input."""
    from meddl.core.errors import InputError

    raise InputError("The volume is empty. Load another one.")


def world_shift(fixed: Volume, moving: Volume, config=None, *, requested: RequestedOutputs, initial=None,
                device: str = "auto", on_progress=None):
    """A registration by the difference of the intensity centers in world space, without rotation."""
    shift = _center(moving) - _center(fixed)
    affine = np.eye(4)
    affine[:3, 3] = shift
    found = Registration(affine, None, fixed.grid, {"seconds": {"total": 0.01}, "device": "cpu",
                                                    "peak_memory_mb": 100.0, "warnings": []})
    return make_results(found, fixed, moving, requested, on_progress)


def known_bend(fixed: Volume, moving: Volume, config=None, *, requested: RequestedOutputs, initial=None,
                device: str = "auto", on_progress=None):
    """A deformable registration that does not look at the volumes: `bend_of` the fixed volume's grid."""
    affine, displacement = bend_of(fixed.grid)
    found = Registration(affine, displacement, fixed.grid, {
        "seconds": {"total": 0.01}, "device": "cpu", "peak_memory_mb": 100.0, "warnings": [],
        "masks": [None if mask is None else int((mask.scalar_data != 0).sum())
                  for mask in (union(requested.masks[0], fixed), union(requested.masks[1], moving))],
        "initial": None if initial is None else initial.affine.tolist()}, moving.grid)
    return make_results(found, fixed, moving, requested, on_progress)


def bend_of(grid):
    """(affine, displacement) of a smooth map around a grid's center: a turn by 8 degrees and bends of up to 2 mm."""
    c, s = np.cos(0.14), np.sin(0.14)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.03]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, grid.center_mm - turn @ grid.center_mm + (3, -2, 1)
    places = grid.points_mm(np.indices(grid.shape).reshape(3, -1).T) - grid.center_mm
    field = np.stack([2 * np.sin(places[:, 1] / 12), 1.5 * np.cos(places[:, 0] / 15), places[:, 2] / 20])
    return affine, Volume(field.reshape(3, *grid.shape).astype(np.float32), grid.affine)


def slow_shift(fixed: Volume, moving: Volume, config=None, *, on_progress=None, **kwargs):
    """`world_shift` after a second in which the alignment is shown: the shift in parts, then with a bend."""
    affine = np.eye(4)
    for step in range(100):
        report(on_progress, step / 100, "Aligning")
        affine[0, 3] = step / 10
        value = {"kind": "affine", "affine": affine.copy()}
        if step >= 50:
            field = np.zeros((3, 4, 4, 4), np.float32)
            field[1] = 3.0
            grid = np.diag([20.0, 20.0, 20.0, 1.0])
            grid[:3, 3] = -30
            value = {"kind": "displacement", "affine": affine.copy(), "displacement": Volume(field, grid)}
        preview(on_progress, value)
        time.sleep(0.012)
    return world_shift(fixed, moving, config, on_progress=on_progress, **kwargs)


def slow_sharpen(volume: Volume, config, *, on_progress=None, **kwargs):
    """Super-resolution after a second in which a slice is shown."""
    from meddl_slicer.runs.remote import super_resolve

    for step in range(80):
        report(on_progress, step / 80, "Sharpening")
        image = np.full((10, 20), float(step))
        preview(on_progress, {"kind": "slice", "image": image, "before": image - 1, "spacing_mm": (1.0, 1.0)})
        time.sleep(0.012)
    return super_resolve(volume, config, on_progress=on_progress, **kwargs)


def inventing(volume: Volume, config, *, on_progress=None, **kwargs):
    """Super-resolution that says that it invented texture."""
    from meddl_slicer.runs.remote import super_resolve

    found = super_resolve(volume, replace(config, method="cubic"), on_progress=on_progress, **kwargs)
    report = {**found.report, "method": "srgan", "difference_mean": 1.5, "difference_unit": "noise"}
    return replace(found, report=report, difference=Volume(found.volume.data.astype(np.float32), found.volume.affine))


def large_labels(volume: Volume, model: str = "large", config=None, *, device: str = "auto", surfaces=None,
                 on_progress=None):
    """Labels as large as the volume, found at once."""
    labels = np.zeros(volume.scalar_data.shape, np.uint16)
    labels[40:-40, 40:-40, 40:-40] = 1
    preview(on_progress, {"kind": "labels", "labels": Volume.scalar(labels.astype(np.uint8), volume.affine),
                          "colors": {1: (50, 100, 230)}})
    found = Segmentation(labels, volume.affine, SEGMENTS[:1], None, {
        "seconds": {"total": 0.01}, "device": "cpu", "warnings": [], "volumes_ml": {"dim": 1.0}, "model": model})
    return ready_segmentation(found, surfaces, on_progress)


def large_shift(fixed: Volume, moving: Volume, config=None, *, requested: RequestedOutputs, on_progress=None, **kwargs):
    """Finds that both volumes lie right, and gives back the moving one as the warped one."""
    preview(on_progress, {"kind": "affine", "affine": np.eye(4)})
    found = Registration(np.eye(4), None, fixed.grid, {"seconds": {"total": 0.01}, "device": "cpu", "warnings": []})
    results = make_results(found, fixed, moving, replace(requested, warped=None), on_progress)
    return replace(results, warped=moving) if requested.warped else results


def large_copy(volume: Volume, config, *, on_progress=None, **kwargs):
    """Super-resolution that gives back the volume."""
    from meddl.results import SuperResolution

    preview(on_progress, {"kind": "slice", "image": np.eye(10), "spacing_mm": (1.0, 1.0)})
    return SuperResolution(Volume(volume.data.copy(order="A"), volume.affine), {
        "seconds": {"total": 0.01}, "device": "cpu", "warnings": [], "method": "cubic"})


def large_array(*, on_progress=None) -> np.ndarray:
    """32 MB."""
    return np.ones((256, 256, 256), np.uint16)


def resident_mb(*, on_progress=None) -> float:
    """What the worker's process holds."""
    from meddl.core import memory

    return memory.used_bytes() / 1e6


def process_id(*, on_progress=None) -> int:
    """The worker's process."""
    return os.getpid()


def _center(volume: Volume) -> np.ndarray:
    data = np.asarray(volume.scalar_data, dtype=np.float64)
    places = np.argwhere(data > 0)
    return np.average(volume.grid.points_mm(places), axis=0, weights=data[data > 0])


def explain_repeatedly(volume: Volume, model, structures, *given, on_progress=None, **more) -> Explanation:
    """A map that is 1 at bright voxels."""
    bright = (volume.data > 150).astype(np.float32)
    return Explanation(Volume(bright, volume.affine), "1 where it is bright.",
                       {"structures": [structures], "method": "occlusion", "warnings": []})


def classify(volume: Volume, model, *, device="auto", on_progress=None) -> Classification:
    """T1 where it is bright somewhere, else T2."""
    found = {"T1": 0.9, "T2": 0.1} if volume.data.max() > 150 else {"T2": 0.9, "T1": 0.1}
    return Classification(next(iter(found)), found, {"model": model, "warnings": []})


def segment_repeatedly(volume: Volume, *given, on_progress=None, **more) -> tuple[Segmentation, Uncertainty]:
    """`threshold`, and how far voxels lie from it."""
    return threshold(volume)[0], _spread(volume)


def register_repeatedly(fixed: Volume, moving: Volume, *given, on_progress=None, **more):
    """The identity."""
    return Registration(np.eye(4), None, fixed.grid), _spread(fixed)


def super_resolve_repeatedly(volume: Volume, *given, on_progress=None, **more):
    """The volume itself."""
    return SuperResolution(volume, {"method": "cubic"}), _spread(volume)


def _spread(volume: Volume) -> Uncertainty:
    return Uncertainty(Volume(volume.data.astype(np.float32), volume.affine), "The intensity.", {"runs": 1})


def find_own_landmarks(volume: Volume, *, model, device="auto", on_progress=None) -> Landmarks:
    """One point in the middle."""
    assert model != "brain"
    return Landmarks(Points(volume.grid.center_mm[None], ("Apex",)), (0.9,), None, {"model": model, "warnings": []})


def shrink(source, *, model, name, config, cache, device="auto", on_progress=None):
    """In the place of `sections.training.compression.remote.shrink`: what it gives, without a model."""
    return {"rows": [("Mean Dice", 0.85, 0.84)], "curve": [], "report": {
        "model": name.lower().replace(" ", "-"), "large_model": model, "reading": "Checked on 3 volumes.",
        "warnings": [], "figures": {}, "seconds": {"total": 0.1}, "device": device}}
