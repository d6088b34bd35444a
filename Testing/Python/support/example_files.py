"""The files that the examples of the pages read: small, and as the pages name them."""

import numpy as np
from channel_images import blobs as noise
from shell import blobs
from stack_phantoms import textured_ellipsoid, three_stacks

import meddl
from meddl.io.images import save_series
from meddl.preparation.steps import N4, Crop, chain_to_text
from meddl.spatial.volume import Volume

LIVER = (meddl.Segment(1, "Liver", (1.0, 0.5, 0.0)),)
POINTS = ("# Markups fiducial file version = 4.11\n# CoordinateSystem = RAS\n"
          "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n")


def put_example_files(folder) -> None:
    """Write all of them."""
    fixed, moving = blobs(), blobs((4, 0, -3))
    for name in ("head", "fixed", "template", "baseline", "reference-image", "ct", "t1", "new", "a",
                 "follow-up-on-baseline", "scans/first", "scans/second", "volumes/first", "volumes/second",
                 "SCANS/first", "IMAGES/first", "cohort/sub-1/ses-1/T1w", "cohort/sub-2/ses-1/T1w"):
        _save(fixed, folder / f"{name}.nii.gz")
    for name in ("moving", "follow-up", "sharp", "t2", "b", "c", "cohort/sub-1/ses-2/T1w", "cohort/sub-2/ses-2/T1w"):
        _save(moving, folder / f"{name}.nii.gz")
    _save(Volume(fixed.data[..., ::3], fixed.affine @ np.diag([1, 1, 3, 1])), folder / "thick.nii.gz")
    scores = np.clip(noise(fixed.shape, fixed.affine).data / 100, 0, 1)
    _save(Volume(scores, fixed.affine), folder / "probability.nii.gz")
    for name, stack in zip(("axial", "coronal", "sagittal"), three_stacks(textured_ellipsoid()), strict=True):
        _save(stack, folder / f"{name}.nii.gz")
    save_series(Volume(np.concatenate([fixed.data, moving.data]), fixed.affine), folder / "series.nii.gz")
    (folder / "pairs.csv").write_text("fixed,moving\nfixed.nii.gz,moving.nii.gz\n")
    (folder / "chain.json").write_text(chain_to_text([N4(), Crop()]))
    _put_segmentations(folder, fixed)
    for name, shift in (("moving-to-fixed", 4.0), ("t", 4.0), ("a", 4.0), ("b", 3.0)):
        affine = np.eye(4)
        affine[0, 3] = shift
        meddl.Registration(affine, None, fixed.grid).save(folder / f"{name}.h5")
    for name, shift in (("fixed", 0.0), ("moving", 4.0)):
        rows = [f"{number},{shift + 9 * number},{number},-{number},0,0,0,1,1,1,0,P{number},,\n" for number in range(4)]
        (folder / f"{name}.fcsv").write_text("".join([POINTS, *rows]))


def _put_segmentations(folder, volume: Volume) -> None:
    """Label maps and segmentations of one structure, those of a second date a little larger; strokes of two."""
    for name, limit in (("a.seg.nrrd", 700), ("b.seg.nrrd", 600), ("labels.nii.gz", 700), ("reference.nii.gz", 600),
                        ("reference.seg.nrrd", 600), ("results/first.nii.gz", 700), ("references/first.nii.gz", 600),
                        ("LABELS/first.nii.gz", 600)):
        labels = (volume.scalar_data > limit).astype(np.uint8)
        (folder / name).parent.mkdir(exist_ok=True)
        meddl.save_segmentation(meddl.Segmentation(labels, volume.affine, LIVER), folder / name)
    for name, value in (("lesion", 800), ("artifact", 850)):
        _save(Volume((volume.data > value).astype(np.uint8), volume.affine), folder / f"{name}.nii.gz")
    strokes = np.zeros(volume.shape, np.uint8)
    for k in (16, 20, 24):
        strokes[:, :, k] = (volume.scalar_data[:, :, k] > 200) * 2 - (volume.scalar_data[:, :, k] > 600)
    meddl.save_segmentation(meddl.Segmentation(strokes, volume.affine, (
        *LIVER, meddl.Segment(2, "Rest", (0.0, 0.5, 1.0)))), folder / "three-slices.seg.nrrd")


def _save(volume: Volume, path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    meddl.save(volume, path)
