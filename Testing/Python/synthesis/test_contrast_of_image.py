"""The contrast of a head, by how bright its tissues are."""

import numpy as np
import pytest

from meddl.samples import head
from meddl.synthesis.contrasts import contrast_of_image

WHITE, CORTEX, VENTRICLE = 2, 3, 4


def blocks(white: float, gray: float, csf: float) -> tuple[np.ndarray, np.ndarray]:
    """Three blocks with thin layers of a wrong brightness between them, and their labels."""
    labels = np.repeat([WHITE, CORTEX, VENTRICLE], 8)[:, None, None] * np.ones((1, 8, 8), int)
    image = np.select([labels == WHITE, labels == CORTEX], [white, gray], csf).astype(float)
    image[[7, 8, 15, 16]] = 0.5
    return image, labels


@pytest.mark.parametrize(("means", "contrast"), [
    ((0.74, 0.48, 0.15), "T1"), ((0.33, 0.52, 0.90), "T2"), ((0.45, 0.58, 0.12), "FLAIR"), ((0.58, 0.72, 0.60), "PD"),
    ((0.50, 0.50, 0.10), None), ((0.70, 0.40, 0.90), None), ((0.60, 0.40, 0.40), None)])
def test_each_contrast_has_its_order(means, contrast):
    assert contrast_of_image(*blocks(*means)) == contrast


def test_a_tissue_that_is_not_seen_leaves_it_open():
    image, labels = blocks(0.74, 0.48, 0.15)
    assert contrast_of_image(image, np.where(labels == VENTRICLE, 0, labels)) is None


@pytest.mark.parametrize("contrast", ["T1", "T2", "FLAIR", "PD"])
def test_the_sample_has_the_contrast_that_it_is_rendered_in(contrast):
    image, truth = head(contrast, 2.0)
    assert contrast_of_image(image.scalar_data, truth.labels) == contrast
