"""The embedded head: every contrast looks like itself, and the labels are where they belong."""

import numpy as np
import pytest

from meddl import samples
from meddl.core.errors import InputError
from meddl.measures.overlap import dice
from meddl.spatial.grid import centered_grid
from meddl.synthesis.contrasts import CONTRASTS

SPACING_MM = 3.0
LEFT_RIGHT = ((2, 41), (3, 42), (4, 43), (8, 47), (10, 49), (17, 53))  # white matter, cortex, ventricle ...
WHITE, CORTEX, FLUID = (2, 41), (3, 42), (4, 43)


@pytest.fixture(scope="module")
def heads():
    return {contrast: samples.head(contrast, SPACING_MM) for contrast in CONTRASTS}


def mean_in(head, values) -> float:
    image, truth = head
    return float(image.scalar_data[np.isin(truth.labels, values)].mean())


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_image_and_labels_lie_on_one_grid(heads, contrast):
    image, truth = heads[contrast]
    assert image.data.dtype == np.int16
    assert image.grid.same_as(truth.grid)
    assert np.allclose(image.spacing_mm, SPACING_MM)
    assert set(np.unique(truth.labels)) - {0} == {segment.value for segment in truth.segments}


def test_t1_shows_white_matter_bright_and_fluid_dark(heads):
    white, gray, fluid = (mean_in(heads["T1"], values) for values in (WHITE, CORTEX, FLUID))
    assert white > 1.2 * gray > 1.2 * 1.2 * fluid


def test_t2_shows_fluid_bright_and_white_matter_dark(heads):
    white, gray, fluid = (mean_in(heads["T2"], values) for values in (WHITE, CORTEX, FLUID))
    assert fluid > 1.2 * gray > 1.2 * 1.2 * white


def test_flair_shows_fluid_dark_and_cortex_brighter_than_white_matter(heads):
    white, gray, fluid = (mean_in(heads["FLAIR"], values) for values in (WHITE, CORTEX, FLUID))
    assert gray > white > fluid


def test_ct_is_in_hounsfield_units(heads):
    image = heads["CT"][0].scalar_data
    assert image.min() == -1000
    assert 300 < image.max() < 3000
    edge = np.concatenate([image[0].ravel(), image[-1].ravel(), image[:, 0].ravel(), image[:, -1].ravel()])
    assert np.median(edge) < -900
    for values in (WHITE, CORTEX):
        assert 0 < mean_in(heads["CT"], values) < 80


def test_left_structures_lie_left_and_right_ones_right(heads):
    truth = heads["T1"][1]
    for left, right in LEFT_RIGHT:
        places = [truth.grid.points_mm(np.argwhere(truth.labels == value)).mean(axis=0) for value in (left, right)]
        assert places[0][0] < places[1][0] - 10


def test_left_and_right_names_go_with_left_and_right_values(heads):
    names = {segment.value: segment.name.lower() for segment in heads["T1"][1].segments}
    for left, right in LEFT_RIGHT:
        assert names[left].startswith("left") and names[right].startswith("right")


def test_structures_have_the_same_volume_at_any_voxel_size(heads):
    fine, coarse = samples.head("T1", 1.5)[1], heads["T1"][1]
    for values in (WHITE, CORTEX, (8, 47), (10, 49), (16,)):
        volumes = [np.isin(truth.labels, values).sum() * truth.grid.voxel_volume_ml for truth in (fine, coarse)]
        assert volumes[0] == pytest.approx(volumes[1], rel=0.06)
    brain = (fine.labels > 0).sum() * fine.grid.voxel_volume_ml
    assert 1100 < brain < 2200, "ml, fluid around the brain included"


def test_every_voxel_size_covers_the_same_field_of_view():
    fine = samples.head("T1", 2.0)[0].grid
    thick = samples.head("T1", (2.0, 2.0, 8.0))[0].grid
    assert np.allclose(thick.spacing_mm, (2, 2, 8))
    assert thick.same_as(centered_grid(fine, (2.0, 2.0, 8.0)))


def test_a_thick_slice_is_the_mean_over_its_thickness():
    fine, truth = samples.head("T1", 1.5)
    thick = samples.head("T1", (1.5, 1.5, 6.0))[0].scalar_data.astype(float)
    packs = fine.scalar_data.astype(float).reshape(*fine.shape[:2], -1, 4)
    brain = (truth.labels > 0).reshape(packs.shape).all(axis=-1)
    from_mean, from_one = (np.abs(thick - other)[brain].mean() for other in (packs.mean(-1), packs[..., 2]))
    assert from_mean < 0.75 * from_one


def test_the_same_seed_gives_the_same_head():
    first, second = samples.head("FLAIR", 4.0, seed=7), samples.head("FLAIR", 4.0, seed=7)
    assert np.array_equal(first[0].data, second[0].data)
    assert np.array_equal(first[1].labels, second[1].labels)


def test_another_seed_gives_another_anatomy_of_the_same_kind():
    heads = [samples.head("T1", SPACING_MM, seed)[1].labels for seed in (0, 1, 2)]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        overlap = dice(heads[first], heads[second], [2, 3, 41, 42])
        assert (overlap > 0.3).all() and (overlap < 0.95).all()


def test_an_unknown_contrast_is_refused():
    with pytest.raises(InputError, match="T1, T2"):
        samples.head("T7")


@pytest.mark.parametrize("spacing", [0.4, 21, -1, float("nan"), (1, 1, 50)])
def test_an_impossible_voxel_size_is_refused(spacing):
    with pytest.raises(InputError, match=r"0\.5 to 20 mm"):
        samples.head("T1", spacing)
