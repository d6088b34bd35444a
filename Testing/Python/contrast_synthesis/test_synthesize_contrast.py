"""Another contrast of a head: right tissues, on the volume's grid, said to be invented; what is no head is refused."""

import numpy as np
import pytest
import torch

import meddl
from meddl.contrast_synthesis.detail import guided_coefficients
from meddl.core.errors import InputError
from meddl.measures.similarity import normalized_mutual_information
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
    assert "was not measured" in report["warnings"][0] and report["model"].startswith("synthesize-contrast ")
    assert "T2" in repr(made)


@pytest.mark.parametrize("contrast", ["t1", "flair"])
def test_a_t2_becomes_other_contrasts_as_they_are_rendered(contrast, t1):
    brain = t1[1].labels > 0
    source = head_image("T2", 3.0).scalar_data.astype(float)
    wanted = head_image(contrast.upper(), 3.0).scalar_data.astype(float)
    found = meddl.synthesize_contrast(head_image("T2", 3.0), contrast, device="cpu").volume.scalar_data
    correlation = [np.corrcoef(image[brain], wanted[brain])[0, 1] for image in (found, source)]
    assert correlation[0] > 0.8 and correlation[0] > abs(correlation[1])


def test_it_is_the_same_for_another_axis_order_and_unit(t1, made):
    volume = t1[0]
    turned = volume.reorient("PIL")
    found = meddl.synthesize_contrast(Volume(turned.data * 7, turned.affine), "t2", device="cpu").volume
    assert found.grid.same_as(turned.grid)
    np.testing.assert_allclose(found.reorient("RAS").data, made.volume.reorient("RAS").data, atol=15)


def test_the_contrast_of_the_volume_itself_is_remarked(t1):
    report = meddl.synthesize_contrast(t1[0], "t1", device="cpu").report
    assert report["correlation"]["t1"] == max(report["correlation"].values())
    assert any("looks like T1 already" in text for text in report["warnings"])


def test_voxels_without_a_value_are_background(t1, made):
    data = t1[0].data.astype(np.float32)
    data[0, :2] = np.nan
    found = meddl.synthesize_contrast(Volume(data, t1[0].affine), "t2", device="cpu")
    assert np.isfinite(found.volume.data).all() and any("NaN" in text for text in found.report["warnings"])
    np.testing.assert_allclose(found.volume.data[0, 4:], made.volume.data[0, 4:], atol=50)


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


def test_a_volume_that_shows_no_head_is_refused(data_folder):
    with pytest.raises(InputError, match="no head"):
        meddl.synthesize_contrast(data_folder / "sarcoma" / "sts01_mr.nii.gz", "t2", device="cpu")


def test_a_linear_relation_is_recovered_in_each_neighborhood():
    guide = torch.rand((9, 8, 7), generator=torch.Generator().manual_seed(0))
    slope, offset = guided_coefficients(guide, 2 * guide - 0.5, 1, 1e-9)
    torch.testing.assert_close(slope, torch.full_like(slope, 2.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(offset, torch.full_like(offset, -0.5), atol=1e-3, rtol=0)
    flat, _ = guided_coefficients(torch.ones_like(guide), guide, 1, 1e-3)
    torch.testing.assert_close(flat, torch.zeros_like(flat))


@pytest.mark.slow
def test_a_real_t2_is_nearer_than_any_mapping_of_intensities(data_folder):
    t1, t2 = (meddl.load(data_folder / "ms" / f"ms07_{name}.nii.gz") for name in ("t1", "t2"))
    mask = (t1.scalar_data > 0) & (t2.scalar_data > 0)
    found = meddl.synthesize_contrast(t1, "t2", device="cpu").volume.scalar_data
    truth = t2.scalar_data[mask].astype(float)
    assert np.corrcoef(found[mask], truth)[0, 1] > abs(np.corrcoef(t1.scalar_data[mask], truth)[0, 1])
    assert normalized_mutual_information(found[mask], truth) > 1.0
