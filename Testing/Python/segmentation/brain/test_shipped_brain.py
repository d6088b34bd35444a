"""The `brain` model that ships does on real volumes what its card says, and stays above a floor."""

import numpy as np
import pytest

import meddl
from meddl.evaluation.segmentation import BRAIN, LABELED, MEAN_MOST, compare_labels
from meddl.models.store.store import ModelStore

FLOORS = {"ecog": (0.95, 0.82), "vm": (0.945, 0.84), "fsaverage": (0.945, 0.81)}  # brain mask, mean of 29 structures


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case != "ecog")) for case in FLOORS])
def test_it_is_as_right_as_its_card_says(data_folder, case):
    card = ModelStore().card("brain")
    names = {label.value: label.name for label in card.labels}
    image, truth = (meddl.load(data_folder / f"{name}.nii.gz") for name in LABELED[case])
    found = meddl.segment(image, device="cpu")
    measured = {row.structure: row.dice for row in
                compare_labels(found.labels, np.rint(truth.scalar_data).astype(np.uint16), names, case)}
    stated = {row.structure: row.value for row in card.accuracy if row.case == case}
    for structure, floor in zip((BRAIN, MEAN_MOST), FLOORS[case], strict=True):
        assert measured[structure] == pytest.approx(stated[structure], abs=0.01), structure
        assert measured[structure] > floor, structure
