"""Small volumes with label maps to train on: a ball within a ball, elsewhere in each case."""

import json
from pathlib import Path

import numpy as np

from meddl.io import save
from meddl.spatial.volume import Volume

AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])
SIZE = 16


def ball_case(seed: int, affine: np.ndarray = AFFINE, channels: int = 1) -> tuple[Volume, Volume]:
    """A volume and its label map: 1 the shell, 2 the core."""
    rng = np.random.default_rng(seed)
    axes = np.stack(np.meshgrid(*[np.arange(float(SIZE))] * 3, indexing="ij"), -1)
    radius = np.sqrt(((axes - (SIZE / 2 + rng.uniform(-1.5, 1.5, 3))) ** 2).sum(-1))
    labels = np.zeros(radius.shape, dtype=np.uint8)
    labels[radius < 5] = 1
    labels[radius < 2.5] = 2
    image = 100 + 50 * (labels == 1) + 120 * (labels == 2)
    data = np.stack([(n + 1) * image + 5 * rng.standard_normal(labels.shape) for n in range(channels)])
    return Volume(data.astype(np.float32), affine), Volume.scalar(labels, affine)


def write_folders(folder: Path, count: int = 5) -> tuple[Path, Path]:
    """`images/case_N.nii.gz` and `labels/case_N.nii.gz`."""
    for n in range(count):
        put(folder, f"case_{n}", *ball_case(n))
    return folder / "images", folder / "labels"


def put(folder: Path, name: str, image: Volume | None, labels: Volume | None, suffix: str = ".nii.gz") -> None:
    """Write a case into `images` and `labels`."""
    for kind, volume in (("images", image), ("labels", labels)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        if volume is not None:
            save(volume, folder / kind / (name + suffix))


def write_nnunet_raw(folder: Path, labels: dict, channels=("T1", "T2"), count: int = 3, **more) -> Path:
    """nnU-Net's raw layout."""
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for n in range(count):
        image, truth = ball_case(n, channels=len(channels))
        for c in range(len(channels)):
            save(Volume.scalar(image.data[c], image.affine), folder / "imagesTr" / f"ball_{n}_{c:04d}.nii.gz")
        save(truth, folder / "labelsTr" / f"ball_{n}.nii.gz")
    content = {"channel_names": {str(n): name for n, name in enumerate(channels)}, "labels": labels, "name": "Balls",
               "numTraining": count, "file_ending": ".nii.gz"} | more
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder
