"""The models and volumes of bench_models.py: what each model looks like, and what it is run on.

A case names its kind: the tool that builds the model and runs it first, with a script in peers/ that takes `build
SPEC.json FOLDER` and `predict FOLDER CASE.json OUTPUT` (see models_peers.py). A new kind is a new entry there, and
cases of it here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Volumes:
    """One subject: a file for each input channel, in the data folder.

    Attributes:
        files: relative to the data folder.
        crop: first and last + 1 voxel along the file's axes; None: all.
        spacing_mm: to which the crop is resampled first, linearly; None: as it is.
    """

    files: tuple[str, ...]
    crop: tuple[tuple[int, int], ...] | None = None
    spacing_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Case:
    """A model and what it is run on.

    Attributes:
        kind: the tool, of models_peers.KINDS.
        model: what its script builds the model from.
        subjects: what it is run on.
        trained: the tool trains it on the hippocampus data first, for so many CPU seconds; 0: weights are random.
        spread: also run the tool with wider sums, to tell how far its own rounding changes labels.
    """

    name: str
    kind: str
    model: dict = field(default_factory=dict)
    subjects: tuple[Volumes, ...] = ()
    trained: int = 0
    spread: bool = False


def _labels(count: int) -> dict:
    return {"background": 0, **{f"structure_{n}": n for n in range(1, count)}}


_HIPPOCAMPUS = tuple(Volumes((f"hippocampus/images/{name}",)) for name in (
    "hippocampus_001.nii.gz", "hippocampus_003.nii.gz", "hippocampus_004.nii.gz", "hippocampus_006.nii.gz"))
_CT, _FOUR = Volumes(("body/aorta_cta.nii.gz",)), Volumes(("ms/ms07_t1.nii.gz", "ms/ms07_flair.nii.gz") * 2)
_MIDDLE = ((28, 92), (32, 96), (40, 120))

# Networks and windows of the bundles are as large as the public ones', but for the miniatures, where torch itself takes
# most of the memory and convolutions have too few channels for a processor's lanes.
CASES = (
    Case("nnunet/mr-2", "nnunet", {
        "labels": _labels(2), "spacing": [1.5, 1.5, 1.5], "patch": [64, 64, 64], "features": [32, 64, 128, 256],
        "mirror": [0, 1, 2]},
        (Volumes(("brain/ecog_t1.nii.gz",), ((64, 160), (64, 184), (80, 176))),), spread=True),
    Case("nnunet/ct-25", "nnunet", {
        "labels": _labels(25), "spacing": [3.0, 3.0, 3.0], "patch": [64, 64, 64], "features": [32, 64, 128, 256],
        "scheme": "CTNormalization", "transpose": [1, 0, 2]},
        (Volumes(("body/aorta_cta.nii.gz",)),), spread=True),
    Case("nnunet/ct-118", "nnunet", {
        "labels": _labels(118), "spacing": [3.0, 3.0, 3.0], "patch": [64, 64, 64], "features": [32, 64, 128],
        "scheme": "CTNormalization"},
        (Volumes(("body/aorta_cta.nii.gz",)),), spread=True),
    Case("nnunet/mr-anisotropic-resenc", "nnunet", {
        "labels": _labels(4), "spacing": [3.27, 1.4, 1.4], "patch": [16, 96, 96], "features": [32, 64, 128],
        "kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3]], "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]], "residual": True,
        "mirror": [1]},
        (Volumes(("sarcoma/sts02_mr.nii.gz",), ((40, 216), (40, 216), (4, 36))),), spread=True),
    Case("nnunet/regions-five-folds", "nnunet", {
        "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}, "regions": [1, 2, 3],
        "spacing": [2.0, 2.0, 2.0], "patch": [48, 48, 48], "features": [16, 32, 64], "masked": True,
        "channels": ["T1", "FLAIR"], "folds": 5},
        (Volumes(("ms/ms07_t1.nii.gz", "ms/ms07_flair.nii.gz"), ((30, 150), (40, 170), (40, 150))),), spread=True),
    Case("nnunet/hippocampus-trained", "nnunet", {
        "labels": {"background": 0, "anterior": 1, "posterior": 2}, "spacing": [1.0, 1.0, 1.0],
        "patch": [40, 56, 40], "features": [16, 32, 64], "mirror": [0, 1, 2]}, _HIPPOCAMPUS, trained=90, spread=True),
    *(Case(f"monai/{name}", "monai", {"bundle": name}, (volumes,)) for name, volumes in (
        ("spleen-unet", _CT), ("organs-segresnet", replace(_CT, spacing_mm=(1.0, 1.0, 1.0))), ("btcv-swinunetr", _CT),
        ("abdomen-dynunet", _CT), ("brats-segresnet", _FOUR))),
    *(Case(f"monai/{name}-miniature", "monai", {"bundle": name}, (volumes,)) for name, volumes in (
        ("swinunetr", replace(_CT, crop=_MIDDLE)), ("dynunet", replace(_CT, crop=_MIDDLE)),
        ("brats", replace(_FOUR, crop=((30, 150), (40, 170), (40, 150)))))),
)
