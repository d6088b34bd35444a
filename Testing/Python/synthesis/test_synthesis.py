"""Random heads: deterministic, labeled where they are, as varied as promised."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from label_rows import ROWS

from meddl.core.errors import FileFormatError, InputError
from meddl.spatial.normalize import to_unit_range
from meddl.synthesis import HeadGenerator, LabelMaps, LabelTable, SynthesisConfig, load_label_maps
from meddl.synthesis.acquisition import acquire
from meddl.synthesis.contrasts import CONTRASTS, tissue_means
from meddl.synthesis.fields.deformation import look_up, random_displacement, source_coordinates
from meddl.synthesis.fields.lattice import box_sums, enlarge
from meddl.synthesis.intensity import random_tissues

SMALL = SynthesisConfig(spacing_mm=2.0, shape=(40, 44, 36), center_jitter_mm=2)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "labels.csv"
    path.write_text(ROWS)
    return LabelTable.read(path)


@pytest.fixture(scope="module")
def with_ventricle(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "labels.csv"
    path.write_text(ROWS + "4,ventricle,12,4,4\n")
    return LabelTable.read(path)


@pytest.fixture(scope="module")
def maps(table):
    """Nested shells, left and right apart: white matter in cortex in CSF in soft tissue."""
    axes = np.stack(np.meshgrid(*[np.arange(96) - 47.5] * 3, indexing="ij"), -1)
    radius = np.sqrt((axes**2).sum(-1))
    right = axes[..., 0] > 0
    rows = np.zeros(radius.shape, np.uint8)
    rows[radius < 44] = 6
    rows[radius < 36] = 3
    rows[radius < 32] = np.where(right, 5, 2)[radius < 32]
    rows[radius < 22] = np.where(right, 4, 1)[radius < 22]
    return LabelMaps(table, torch.from_numpy(rows)[None], torch.tensor([[47.5] * 3]))


def test_the_table_ties_left_and_right(table):
    assert table.tissues[1] == table.tissues[4]
    assert table.mirror_of_structure(3) == 42
    assert table.structures.tolist() == [2, 3, 24, 41, 42]


def test_the_same_seed_makes_the_same_images(maps):
    first, second, other = (HeadGenerator(maps, SMALL, seed).sample(2) for seed in (3, 3, 4))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.rows, second.rows)
    assert not torch.equal(first.images, other.images)


def test_targets_have_the_means_of_their_contrast_and_leave_the_images_as_they_are(maps):
    both = HeadGenerator(maps, SMALL, 5, ("T1",), ("T1", "T2")).sample(1)
    alone = HeadGenerator(maps, SMALL, 5, ("T1",)).sample(1)
    assert both.targets.shape == (1, 2, *SMALL.shape) and alone.targets.shape[1] == 0
    assert torch.equal(both.images, alone.images)
    rows, table = both.rows[0], maps.table
    white = int(np.flatnonzero(table.labels == 2)[0])
    means = tissue_means(table)[[CONTRASTS.index("T1"), CONTRASTS.index("T2")], table.tissues[white]]
    found = [float(target[rows == white].median()) for target in both.targets[0]]
    np.testing.assert_allclose(found, means, atol=1e-3)
    assert not both.targets[0][:, rows == 0].any()


def test_images_lie_in_the_unit_range_and_vary_in_contrast(maps):
    batch = HeadGenerator(maps, SMALL, 1).sample(12)
    assert batch.images.min() >= 0
    assert batch.images.max() <= 1
    white = [image[0][rows == 1].mean() - image[0][rows == 2].mean()
             for image, rows in zip(batch.images, batch.rows, strict=True)]
    assert min(white) < -0.05
    assert max(white) > 0.05


def test_heads_in_one_contrast_look_alike(maps, table):
    config = replace(SMALL, prior_probability=1.0, bias_sd=(0, 0), gamma_sd=0, stripped_probability=0,
                     crop_probability=0, clip_probability=0)
    white, csf = (torch.as_tensor(np.isin(table.labels, values)) for values in ((2, 41), (24,)))
    for contrast, brighter in (("T1", True), ("T2", False)):
        batch = HeadGenerator(maps, config, 4, contrasts=(contrast,)).sample(4)
        means = [batch.images[:, 0][kind[batch.rows.int()]].mean() for kind in (white, csf)]
        assert bool(means[0] > means[1]) is brighter


def test_left_stays_left_also_in_mirrored_heads(maps):
    config = SynthesisConfig(spacing_mm=2.0, shape=(40, 44, 36), center_jitter_mm=0, rotation_degrees=5, elastic_mm=1)
    batch = HeadGenerator(maps, config, 2).sample(12)
    along = torch.arange(40)[:, None, None].expand(40, 44, 36).float()
    for rows in batch.rows:
        assert along[rows == 1].mean() < along[rows == 4].mean()


def test_stripped_heads_and_partial_fields_come_in_their_shares(maps):
    config = SynthesisConfig(spacing_mm=4.0, shape=(24, 24, 24), center_jitter_mm=0, clip_probability=0,
                             noise_sd=(0, 0))
    batch = HeadGenerator(maps, config, 5).sample(100)
    stripped = (batch.rows == 6).flatten(1).float().mean(dim=1) < 0.02
    assert 0.2 < stripped.float().mean() < 0.55
    assert (batch.images[:, 0][stripped][batch.rows[stripped] == 0] < 0.02).float().mean() > 0.8
    partial = (~batch.seen).flatten(1).any(dim=1).float().mean()
    assert 0.08 < partial < 0.35
    assert (batch.images[:, 0][~batch.seen] == 0).all()


def test_what_was_stripped_away_is_background_in_the_labels_too(maps):
    config = SynthesisConfig(spacing_mm=2.0, shape=(40, 44, 36), center_jitter_mm=0, stripped_probability=1.0,
                             crop_probability=0,
                             clip_probability=0, noise_sd=(0, 0), isotropic_mm=(1, 1), anisotropic_probability=0,
                             tissue_sd=(0, 0))
    batch = HeadGenerator(maps, config, 8).sample(8)
    whole = HeadGenerator(maps, replace(config, stripped_probability=0.0), 8).sample(8)
    for label, at_most in ((6, 0.2), (3, 0.9), (1, 1.01)):
        assert (batch.rows == label).sum() < at_most * (whole.rows == label).sum()
    assert (batch.rows == 1).sum() > 0.8 * (whole.rows == 1).sum()
    assert (batch.images[:, 0][batch.rows == 0] < 0.02).float().mean() > 0.9


def test_thick_slices_blur_along_their_axis_only():
    config = SynthesisConfig(spacing_mm=1.0)
    image = torch.zeros(41, 41, 41)
    image[20, 20, 20] = 1
    blurred = acquire(image, [1.0, 1.0, 6.0], 0.0, config, torch.Generator())
    assert (blurred[20, 20] > 1e-3).sum() >= 6
    assert torch.count_nonzero(blurred) == torch.count_nonzero(blurred[20, 20])
    constant = acquire(torch.ones(41, 41, 41), [2.7, 1.0, 6.0], 0.0, config, torch.Generator())
    torch.testing.assert_close(constant, torch.ones(41, 41, 41))


def test_displacements_are_smooth_and_never_fold():
    config = SynthesisConfig(spacing_mm=2.0, shape=(48, 48, 48), elastic_mm=4.0)
    field = enlarge(random_displacement(4, config, torch.Generator().manual_seed(0)), config.shape) / config.spacing_mm
    gradient = torch.stack(torch.gradient(field, dim=(2, 3, 4)), dim=2) + torch.eye(3).reshape(1, 3, 3, 1, 1, 1)
    assert torch.linalg.det(gradient.permute(0, 3, 4, 5, 1, 2)).min() > 0
    assert field.abs().max() > 0.5


def test_looking_up_without_deformation_gives_the_map_back(maps):
    config = SynthesisConfig(spacing_mm=1.0, shape=(96, 96, 96))
    places = source_coordinates(torch.eye(3)[None], torch.tensor([[47.5] * 3]), None, config)
    assert torch.equal(look_up(maps.plain_codes, torch.tensor([0]), places), maps.rows.to(torch.int16))
    beyond = look_up(maps.plain_codes, torch.tensor([0]), places, torch.tensor([[60.0, 0, -200]]))
    assert not beyond.any()  # no wrapping around: the corner above the map is background


def test_fields_on_few_points_are_enlarged_as_torch_does_and_boxes_are_summed():
    field = torch.randn(2, 3, 4, 5, 6)
    enlarged = torch.nn.functional.interpolate(field, size=(9, 12, 13), mode="trilinear", align_corners=True)
    torch.testing.assert_close(enlarge(field, (9, 12, 13)), enlarged, atol=1e-5, rtol=1e-5)
    image = torch.rand(7, 8, 9)
    sums = torch.nn.functional.avg_pool3d(image[None, None], 5, 1, 2)[0, 0] * 125
    torch.testing.assert_close(box_sums(image, 2), sums)


def test_csf_has_one_intensity_in_known_contrasts_and_several_in_others(maps, with_ventricle):
    table = with_ventricle
    labels = list(table.labels)
    csf = [int(table.tissues[labels.index(value)]) for value in (4, 24)]
    generator = HeadGenerator(LabelMaps(table, maps.rows, maps.centers), SMALL)
    for probability, alike in ((1.0, True), (0.0, False)):
        config = replace(SMALL, prior_probability=probability)
        means, _ = random_tissues(20, generator._priors, generator._alike, config, torch.Generator().manual_seed(1))
        assert torch.allclose(means[:, csf[0]], means[:, csf[1]]) is alike


def test_known_contrasts_look_as_known(table):
    means = tissue_means(table)
    white, cortex, csf = (means[:, table.tissues[n]] for n in (1, 2, 3))
    t1, t2, flair = (CONTRASTS.index(name) for name in ("T1", "T2", "FLAIR"))
    assert csf[t1] < cortex[t1] < white[t1]
    assert white[t2] < cortex[t2] < csf[t2]
    assert csf[flair] < white[flair] < cortex[flair]


def test_a_constant_image_has_no_range():
    assert not to_unit_range(torch.full((1, 1, 4, 4, 4), 7.0)).any()


def test_a_table_without_columns_and_a_folder_without_maps_are_refused(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(FileFormatError, match="columns"):
        LabelTable.read(path)
    with pytest.raises(InputError, match="head_01"):
        load_label_maps(tmp_path)
