"""Boundaries that move: structures of other sizes than in the maps, where they may, and only as far as they may."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from label_rows import ROWS

from meddl.synthesis import HeadGenerator, LabelMaps, LabelTable, SynthesisConfig
from meddl.synthesis.boundaries import Boundaries, boundary_codes

CONFIG = SynthesisConfig(shape_probability=1.0)
MORE = """4,ventricle,20,4,4
10,left thalamus,23,10,49
49,right thalamus,24,49,10
515,skull,30,0,515
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "labels.csv"
    path.write_text(ROWS + MORE)
    return LabelTable.read(path)


@pytest.fixture(scope="module")
def maps(table):
    """A ventricle between two nuclei in white matter in cortex in fluid in skull."""
    axes = np.stack(np.meshgrid(*[np.arange(64) - 31.5] * 3, indexing="ij"), -1)
    radius = np.sqrt((axes**2).sum(-1))
    labels = np.zeros(radius.shape, np.int64)
    for inside, value in ((29, 515), (25, 24), (22, 3), (18, 2)):
        labels[radius < inside] = value
    for center, value in (((-9, 0, 0), 10), ((9, 0, 0), 49), ((0, 0, 0), 4)):
        labels[np.sqrt(((axes - center)**2).sum(-1)) < 5] = value
    rows = np.searchsorted(table.labels, labels).astype(np.uint8)
    return LabelMaps(table, torch.from_numpy(rows)[None], torch.tensor([[31.5] * 3]))


def sizes(maps, config, count=40):
    """Voxels of each label in so many draws, as factors of those in the map."""
    codes = maps.boundary_codes[0, 1:-1, 1:-1, 1:-1].int()
    drawn = Boundaries(maps.table, torch.device("cpu")).row_of_code(count, config, torch.Generator().manual_seed(3))
    found = np.stack([np.bincount(rows[codes].reshape(-1), minlength=len(maps.table.labels)) for rows in drawn])
    before = np.bincount(maps.rows[0].reshape(-1), minlength=len(maps.table.labels))
    return {int(label): found[:, n] / before[n] for n, label in enumerate(maps.table.labels) if before[n]}


def test_a_code_names_the_label_and_the_nearest_other_one():
    rows = torch.zeros((1, 7, 7, 7), dtype=torch.uint8)
    rows[0, 3, 3, 3] = 2
    codes = boundary_codes(rows, 4)[0, 1:-1, 1:-1, 1:-1].int()
    assert codes.shape == (7, 7, 7)
    row, other, ring = codes % 4, codes // 4 % 4, codes // 16
    assert torch.equal(row, rows[0].int())
    expected = {(3, 3, 3): (0, 1), (3, 3, 4): (2, 1), (3, 4, 4): (2, 2), (4, 4, 4): (2, 3), (3, 3, 5): (2, 4)}
    for place, (near, distance) in expected.items():
        assert (int(other[place]), int(ring[place])) == (near, distance), place
    assert int((ring > 0).sum()) == 1 + 6 + 12 + 8 + 6
    assert not codes[0].any()


def test_without_shapes_every_code_keeps_its_label(maps):
    for factors in sizes(maps, replace(CONFIG, shape_probability=0.0), 3).values():
        assert (factors == 1).all()


def test_structures_vary_in_size_as_far_as_they_may(maps):
    factors = sizes(maps, CONFIG)
    assert factors[10].min() < 0.8
    assert factors[10].max() > 1.2
    assert not np.allclose(factors[10], factors[49])  # each side by itself
    assert 0.1 < factors[4].min() < 0.6
    assert 1.2 < factors[4].max() < 1.9
    assert (factors[24] == 1).all()  # the skull grows outwards
    assert np.ptp(factors[515]) > 0.1
    assert 0.7 < factors[3].min() < 0.95 < 1.05 < factors[3].max() < 1.35
    only_cortex = sizes(maps, replace(CONFIG, nuclei_mm=(0, 0), ventricles_mm=(0, 0), skull_mm=(0, 0)))
    for label in (24, 4, 10, 515):
        assert (only_cortex[label] == 1).all()  # it moves into white matter alone
    assert np.ptp(only_cortex[3]) > 0.1


def test_images_have_the_shapes_that_their_labels_have_and_lesions_in_white_matter_alone(maps):
    config = replace(CONFIG, shape=(56, 56, 56), spacing_mm=1.0, center_jitter_mm=0, rotation_degrees=0, scale=(1, 1),
                     shear=0, elastic_mm=0, prior_probability=1, tissue_sd=(0, 0), bias_sd=(0, 0), gamma_sd=0,
                     isotropic_mm=(1, 1), anisotropic_probability=0, noise_sd=(0, 0), crop_probability=0,
                     stripped_probability=0, clip_probability=0, nuclei_mm=(1.6, 1.6))
    batch = HeadGenerator(maps, config, 2, contrasts=("T1",)).sample(1)
    place = {int(label): torch.from_numpy(maps.table.labels == label)[batch.rows[0].int()]
             for label in maps.table.labels}
    assert place[10].sum() > 1.3 * (maps.rows == int(np.flatnonzero(maps.table.labels == 10)[0])).sum()
    image = batch.images[0, 0]
    assert image[place[10]].std() < 0.35 * (image[place[10]].mean() - image[place[4]].mean()).abs()


def test_nothing_waits_for_the_device(maps, monkeypatch):
    """No value is read back from a tensor that would be on the device."""
    generator = HeadGenerator(maps, replace(CONFIG, shape=(32, 32, 32), spacing_mm=2.0, lesion_probability=1.0,
                                            stripped_probability=1.0), 5)
    apart = torch.Generator().manual_seed(6)
    monkeypatch.setattr(HeadGenerator, "decisions", property(lambda self: apart))
    read = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            name = function.name()
            if any(waits in name for waits in ("_local_scalar_dense", "nonzero", "masked_select", "unique")):
                read.append((name, tuple(arguments[0].shape)))
            return function(*arguments, **(options or {}))

    generator.sample(1)  # tables of operators are made once
    with Watch():
        generator.sample(2)
    # Per image: whether it is stripped, how widely, whether its fluid stays, noise; and whether the batch has lesions.
    assert len(read) <= 2 * 4 + 1, read
    assert all(shape == () for _, shape in read)
