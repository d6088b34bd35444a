"""A mask counts alike in all verbs: where it is nonzero, whatever its type, and NaN does not."""

import numpy as np
import pytest
import SimpleITK as sitk
from shell import blobs, run

import meddl
from meddl.core.errors import InputError
from meddl.io import as_mask
from meddl.measures.intensity_matching import fit_intensities
from meddl.preparation.steps import Crop
from meddl.spatial.volume import Volume

HEAD = blobs(shape=(24, 22, 26))
INSIDE = np.zeros(HEAD.shape, bool)
INSIDE[6:16, 6:15, 8:18] = True
STILL = meddl.Registration(np.eye(4), None, HEAD.grid)
HARMONIC = meddl.InpaintConfig(method="harmonic")
QUICK = meddl.RegisterConfig(transform_type="translation", levels_mm=(8.0,), estimate_quality=False,
                             large_displacement_search="off")


def noisy(seed: int) -> Volume:
    return Volume(HEAD.data + np.random.default_rng(seed).normal(0, 20, HEAD.data.shape), HEAD.affine)


ONE, OTHER = noisy(1), noisy(2)
VERBS = {
    "inpaint": lambda mask: meddl.inpaint(HEAD, mask, HARMONIC, device="cpu").filled.data,
    "compare": lambda mask: meddl.compare(ONE, OTHER, mask=mask).report["voxels"],
    "match": lambda mask: fit_intensities(ONE, OTHER, mask).levels,
    "match histograms": lambda mask: fit_intensities(ONE, OTHER, mask, corresponding=False).levels,
    "change": lambda mask: meddl.change(ONE, OTHER, registration=STILL, mask=mask, device="cpu").z.data,
    "register": lambda mask: meddl.register(ONE, OTHER, QUICK, fixed_mask=mask, device="cpu").affine,
    "register series": lambda mask: meddl.register_series([ONE, OTHER], QUICK, mask=mask, device="cpu")
    .frames[1].affine,
    "prepare": lambda mask: meddl.prepare(ONE, [Crop(to="roi")], roi=mask).volume.data,
}
KINDS = {"fractions": INSIDE * np.float32(0.3), "negative": INSIDE * np.int16(-2), "70000": INSIDE * np.int32(70000),
         "NaN elsewhere": np.where(INSIDE, 1.0, np.nan), "yes and no": INSIDE}
_found: dict = {}


def expected(verb: str):
    if verb not in _found:
        _found[verb] = VERBS[verb](Volume.scalar(INSIDE.astype(np.uint8), HEAD.affine))
    return _found[verb]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", VERBS)
def test_what_is_nonzero_counts(verb, kind):
    np.testing.assert_array_equal(VERBS[verb](Volume.scalar(KINDS[kind], HEAD.affine)), expected(verb))


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "inpaint"])
def test_an_empty_mask_is_called_empty(verb):
    empty = Volume.scalar(np.full(HEAD.shape, np.nan), HEAD.affine)
    with pytest.raises(InputError, match="empty|holds no voxel of the volume"):
        VERBS[verb](empty)


@pytest.mark.parametrize("verb", VERBS)
def test_a_mask_that_lies_elsewhere_is_refused(verb):
    away = HEAD.affine.copy()
    away[:3, 3] += 5000
    with pytest.raises(InputError, match="elsewhere|lies outside|Move it over"):
        VERBS[verb](Volume.scalar(INSIDE.astype(np.uint8), away))


def test_a_mask_of_few_voxels_is_not_said_to_lie_outside():
    few = np.zeros(HEAD.shape, np.uint8)
    few[9:12, 9:12, 9:12] = 1
    with pytest.raises(InputError, match="share 27 voxels; 100 are needed"):
        VERBS["change"](Volume.scalar(few, HEAD.affine))


@pytest.fixture
def overlapping(tmp_path):
    """A `.seg.nrrd` with two segments in two layers, which overlap and together are `INSIDE`, as Slicer writes it."""
    parts = [INSIDE.copy(), INSIDE.copy()]
    parts[0][14:], parts[1][:8] = False, False
    layers = np.stack(parts, axis=-1).astype(np.uint8).transpose(2, 1, 0, 3)
    image = sitk.GetImageFromArray(layers, isVector=True)
    lps = np.diag([-1.0, -1.0, 1.0]) @ HEAD.affine[:3, :3] / HEAD.spacing_mm
    image.SetSpacing(HEAD.spacing_mm.tolist())
    image.SetDirection(lps.ravel().tolist())
    image.SetOrigin((np.diag([-1.0, -1.0, 1.0]) @ HEAD.affine[:3, 3]).tolist())
    for n in range(2):
        for key, value in (("ID", f"s{n}"), ("Name", f"часть {n}"), ("LabelValue", "1"), ("Layer", str(n)),
                           ("Color", "1 0 0")):
            image.SetMetaData(f"Segment{n}_{key}", value)
    sitk.WriteImage(image, str(tmp_path / "mask.seg.nrrd"))
    return tmp_path / "mask.seg.nrrd"


def test_segments_that_overlap_are_one_mask(overlapping):
    mask = as_mask(overlapping)
    np.testing.assert_allclose(mask.affine, HEAD.affine, atol=1e-5)
    np.testing.assert_array_equal(mask.scalar_data, INSIDE)
    for verb in ("inpaint", "change", "register"):
        np.testing.assert_array_equal(VERBS[verb](overlapping), expected(verb))


def test_and_so_in_the_shell(overlapping, tmp_path, capsys):
    meddl.save(HEAD, tmp_path / "head.nii.gz")
    files = [tmp_path / f"{name}.nii.gz" for name in ("head", "filled", "cropped")]
    assert run("inpaint", files[0], "--mask", overlapping, "-o", files[1], "--method", "harmonic") == 0
    assert run("compare", files[0], files[1], "--kind", "images", "--mask", overlapping) == 0
    assert f"{INSIDE.sum()} voxels" in capsys.readouterr().out
    assert run("prepare", files[0], "-o", files[2], "--step", "crop:to=roi", "--roi", overlapping) == 0
    assert meddl.load(files[2]).shape == (10, 9, 10)
    assert run("prepare", files[0], "-o", files[2], "--step", "crop:to=roi", "--roi", tmp_path / "none.nii.gz",
               "--overwrite") == 2
    assert "does not exist" in capsys.readouterr().err
