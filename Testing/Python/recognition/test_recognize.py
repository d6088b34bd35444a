"""What is said of real volumes and of ones that show nothing; unknown is better than wrong."""

import time

import numpy as np
import pytest
import torch

import meddl
from meddl.evaluation.recognition import turn_volume
from meddl.models.store.store import ModelStore
from meddl.recognition.orientations import TURNS
from meddl.recognition.recognize import MODEL, metadata_with_region
from meddl.recognition.result import UNKNOWN, Recognition

UPSIDE_DOWN = TURNS.index(((0, 1, 2), (True, False, True)))
SWAPPED = TURNS.index(((0, 2, 1), (False, False, True)))


@pytest.fixture(scope="module")
def head(data_folder):
    return meddl.load(data_folder / "brain" / "ecog_t1.nii.gz")


def test_a_whole_head_and_its_axes(head):
    found = meddl.recognize(head)
    assert (found.region, found.stripped, found.axes) == ("head", False, "upright")
    assert found.contrast in ("T1", UNKNOWN) and not found.warnings()


@pytest.mark.parametrize("turn", [UPSIDE_DOWN, SWAPPED])
def test_a_header_that_does_not_fit_is_warned_of(head, turn):
    found = meddl.recognize(turn_volume(head, turn))
    assert found.turn == turn and found.is_turned
    assert "do not fit the anatomy" in found.warnings()[0]


def test_all_axis_orders_of_one_head_give_one_answer(data_folder):
    folder = data_folder / "geometry" / "orientations"
    found = {name: meddl.recognize(folder / f"{name}.nii.gz") for name in ("RAS", "LIA", "PSR", "SAL", "IPL")}
    assert len({(one.region, one.axes, one.contrast, one.stripped) for one in found.values()}) == 1
    assert not any(one.warnings() for one in found.values())


@pytest.mark.parametrize("name", ["sarcoma/sts01_ct", "sarcoma/sts02_mr", "body/abdomen_ct", "sarcoma/sts03_pet"])
def test_what_is_no_head_is_not_called_one(data_folder, name):
    found = meddl.recognize(data_folder / f"{name}.nii.gz")
    assert found.region in ("no head", UNKNOWN) and found.stripped is None and not found.warnings()
    assert found.contrast == ("CT" if name.endswith("ct") else UNKNOWN)


def test_lungs_are_a_rule(data_folder):
    found = meddl.recognize(data_folder / "body" / "chest_ct.nrrd")
    assert (found.region, found.contrast) == ("chest", "CT")


def volume_of(array, spacing=3.0):
    return meddl.Volume.scalar(array, np.diag([spacing, spacing, spacing, 1.0]))


@pytest.mark.parametrize("array", [
    np.zeros((60, 60, 60), np.int16), np.full((60, 60, 60), np.nan, np.float32), np.ones((60, 60, 3), np.int16),
    np.random.default_rng(0).normal(size=(8, 8, 8)), np.random.default_rng(0).integers(0, 9, (60, 60, 1)),
    np.kron(np.arange(64).reshape(4, 4, 4), np.ones((16, 16, 16))).astype(np.int16)],
    ids=["constant", "nan", "few slices", "tiny", "one slice", "labels"])
def test_what_shows_nothing_is_unknown(array):
    found = meddl.recognize(volume_of(array))
    assert found == Recognition() and found.describe() == "unknown"


def test_noise_is_no_head():
    found = meddl.recognize(volume_of(np.random.default_rng(0).normal(100, 20, (64, 64, 64))))
    assert found.region in ("no head", UNKNOWN) and not found.warnings()


def test_small_crops_are_unknown(data_folder):
    files = sorted((data_folder / "hippocampus" / "images").glob("*.nii.gz"))[:5]
    assert {meddl.recognize(file).describe() for file in files} == {"unknown"}


def test_of_a_series_the_first_volume_is_looked_at(head):
    small = head.data[:, ::2, ::2, ::2]
    series = meddl.Volume(np.concatenate([small, np.zeros_like(small)]), head.affine @ np.diag([2, 2, 2, 1.0]))
    assert meddl.recognize(series).region == "head"


def test_a_file_of_one_slice_is_refused(tmp_path):
    import SimpleITK

    SimpleITK.WriteImage(SimpleITK.Image(20, 20, SimpleITK.sitkInt16), str(tmp_path / "flat.nii.gz"))
    with pytest.raises(meddl.MedDLError):
        meddl.recognize(tmp_path / "flat.nii.gz")


def test_the_catalog_learns_of_the_region(head):
    assert metadata_with_region(head).region == "head"
    assert metadata_with_region(volume_of(np.zeros((60, 60, 60), np.int16))).region is None


def test_the_model_is_small_and_quick(head):
    assert ModelStore().card(MODEL).weights.bytes <= 1_500_000
    meddl.recognize(head)  # loads the model
    before, threads = time.process_time(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        meddl.recognize(head)
    finally:
        torch.set_num_threads(threads)
    assert time.process_time() - before < 3  # 0.5 s on two idle cores: see docs/benchmarks.md
