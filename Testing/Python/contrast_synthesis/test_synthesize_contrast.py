"""Another contrast of a head: right tissues, on the volume's grid, marked as not measured; no head is refused."""

import numpy as np
import pytest
import torch

import meddl
from meddl.contrast_synthesis.detail import guided_filter
from meddl.contrast_synthesis.synthesize import paint
from meddl.core.errors import InputError
from meddl.samples import head, head_image
from meddl.spatial.volume import Volume
from meddl.synthesis.contrasts import contrast_of_image


@pytest.fixture(scope="module")
def t1():
    return head("T1", 3.0)


@pytest.fixture(scope="module")
def made(t1):
    return meddl.synthesize_contrast(t1[0], "t2", device="cpu")


def test_a_t1_becomes_a_t2_on_its_grid_and_says_that_it_is_invented(t1, made):
    volume, truth = t1
    assert made.volume.grid.same_as(volume.grid) and made.volume.data.dtype == np.float32
    assert contrast_of_image(volume.scalar_data.astype(float), truth.labels) == "T1"
    assert contrast_of_image(made.volume.scalar_data, truth.labels) == "T2"
    report = made.report
    assert report["contrast"] == "T2" and report["invented"] and "invented" in report["name_suffix"]
    assert "was not measured" in report["warnings"][0] and report["model"] == "brain"
    assert report["contrast_of_volume"] == "T1" and not any("already" in text for text in report["warnings"])
    assert "T2" in repr(made)


@pytest.mark.parametrize(("source", "contrast"), [("T1", "flair"), ("T1", "t2"), ("T2", "t1"), ("FLAIR", "t1")])
def test_labels_are_painted_as_the_contrast_is_rendered(source, contrast):
    volume, truth = head(source, 3.0)
    brain = truth.labels > 0
    wanted = head_image(contrast.upper(), 3.0).scalar_data.astype(float)
    found = paint(volume, truth, contrast).scalar_data
    correlation = [np.corrcoef(image[brain], wanted[brain])[0, 1] for image in (found, volume.scalar_data)]
    assert correlation[0] > 0.85 and correlation[0] > abs(correlation[1])
    assert not found[~brain].any() and found.min() >= 0 and found.max() <= 1000


@pytest.mark.slow
def test_it_does_not_depend_on_the_unit_of_intensity(t1):
    volume, truth = t1
    other = Volume(volume.data.astype(np.float32) * 7 + 100, volume.affine)
    np.testing.assert_allclose(paint(other, truth, "t2").data, paint(volume, truth, "t2").data, atol=0.5)


def test_the_contrast_of_the_volume_itself_is_remarked_and_voxels_without_a_value_are_background(t1):
    data = t1[0].data.astype(np.float32)
    data[0, :2] = np.nan
    found = meddl.synthesize_contrast(Volume(data, t1[0].affine), "T1", device="cpu")
    assert np.isfinite(found.volume.data).all() and any("NaN" in text for text in found.report["warnings"])
    assert any("looks like T1 already" in text for text in found.report["warnings"])


def test_what_cannot_be_a_head_of_mr_is_refused(t1):
    affine = t1[0].affine
    for volume, text in ((Volume(np.zeros((1, 40, 40, 40)), affine), "constant"),
                         (Volume(np.full((1, 40, 40, 40), np.nan), affine), "no finite value"),
                         (Volume(np.repeat(t1[0].data, 2, axis=0), affine), "this volume has 2"),
                         (head_image("CT", 3.0), "is CT")):
        with pytest.raises(InputError, match=text):
            meddl.synthesize_contrast(volume, "t2", device="cpu")
    with pytest.raises(InputError, match="t1, t2, flair; got 'pet'"):
        meddl.synthesize_contrast(t1[0], "pet", device="cpu")


@pytest.mark.slow
def test_no_head_is_refused_or_doubted(data_folder):
    try:
        found = meddl.synthesize_contrast(data_folder / "body" / "abdomen_mr.nii.gz", "t2", device="cpu")
    except InputError as error:
        assert "no head" in str(error) or "No brain" in str(error)
    else:
        assert any("Whether the volume shows a head was not seen" in text for text in found.report["warnings"])


def test_the_filter_finds_a_linear_relation_in_each_neighborhood():
    guide = torch.rand((9, 8, 7), generator=torch.Generator().manual_seed(0))
    inside = torch.ones(guide.shape, dtype=torch.bool)
    inside[:, :, 5:] = False
    image = torch.where(inside, 2 * guide - 0.5, 99.0)
    found = guided_filter(guide, image, inside, 1, 1e-9)
    torch.testing.assert_close(found[inside], image[inside], atol=1e-3, rtol=0)
    assert not found[~inside].any()
    flat = guided_filter(torch.ones_like(guide), image, inside, 1, 1e-3)
    assert flat[inside].std() < image[inside].std() / 2  # the mean of each neighborhood


@pytest.mark.slow
def test_real_heads_look_like_the_contrast(data_folder):
    """Of a whole T1, by labels that others have drawn."""
    labels = meddl.load(data_folder / "brain" / "ecog_aseg.nii.gz").scalar_data
    volume = meddl.load(data_folder / "brain" / "ecog_t1.nii.gz")
    found = meddl.synthesize_contrast(volume, "t2", device="cpu")
    assert contrast_of_image(found.volume.scalar_data, labels) == "T2"
