"""Rendered patients with brain tumors: what they must look like to be worth a training."""

import json

import numpy as np
import pytest
import SimpleITK
from places import BENCHMARKS

import meddl


@pytest.fixture(scope="module")
def tumors():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        from tumors import patients

        yield patients


@pytest.fixture(scope="module")
def pair(tumors, data_folder):
    return list(tumors.patients(data_folder, 13, 14, 2, seed=5))


def test_tumors_lie_in_tissue_and_patients_differ(tumors, pair):
    first, second = pair
    assert not np.array_equal(first.labels, second.labels)
    for patient in pair:
        assert set(np.unique(patient.labels)) <= {0, tumors.CORE, tumors.EDEMA, tumors.ENHANCING}
        tumor = patient.labels > 0
        assert 0.5 < np.count_nonzero(tumor) * tumors.SPACING_MM ** 3 / 1000 < 200  # ml
        assert not np.isin(patient.anatomy[tumor], (0, *tumors.CSF)).any()
        assert (patient.channels[:, tumor].min(axis=0) >= 0).all() and np.isfinite(patient.channels).all()
        assert not patient.channels[:, patient.anatomy == 0].any()


def test_each_channel_shows_what_it_is_for(tumors, pair):
    for patient in pair:
        t1, enhanced, _t2, flair = patient.channels
        healthy = np.isin(patient.anatomy, (2, 41)) & (patient.labels == 0)
        edema, rim = (patient.labels == value for value in (tumors.EDEMA, tumors.ENHANCING))
        assert np.median(flair[edema]) > 1.2 * np.median(flair[healthy])
        assert np.median(t1[edema]) < np.median(t1[healthy])
        if np.count_nonzero(rim) > 20:
            uptake = (np.median(enhanced[rim]) / np.median(enhanced[healthy])
                      / (np.median(t1[rim]) / np.median(t1[healthy])))
            assert uptake > 1.3


def test_a_seed_gives_the_same_patient_again(tumors, pair, data_folder):
    again = next(tumors.patients(data_folder, 13, 14, 1, seed=5))
    assert np.array_equal(again.channels, pair[0].channels) and np.array_equal(again.labels, pair[0].labels)


def test_the_data_set_is_one_of_nnunet_with_regions(tumors, data_folder, tmp_path):
    tumors.write_dataset(data_folder, tmp_path, train=1, test=1, channels=("T1ce", "FLAIR"))
    content = json.loads((tmp_path / "dataset.json").read_text(encoding="utf-8"))
    assert content["channel_names"] == {"0": "T1ce", "1": "FLAIR"}
    assert content["labels"]["tumor core"] == [tumors.CORE, tumors.ENHANCING]
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.nii.gz")}
    assert names == {"imagesTr/Tr000_0000.nii.gz", "imagesTr/Tr000_0001.nii.gz", "labelsTr/Tr000.nii.gz",
                     "imagesTs/Ts000_0000.nii.gz", "imagesTs/Ts000_0001.nii.gz", "labelsTs/Ts000.nii.gz"}
    images = [SimpleITK.ReadImage(str(tmp_path / name)) for name in sorted(names) if "Tr000" in name]
    assert len({(image.GetSize(), image.GetOrigin(), image.GetDirection()) for image in images}) == 1
    assert images[0].GetSpacing() == pytest.approx([tumors.SPACING_MM] * 3)


@pytest.mark.slow
def test_regions_are_trained_on_four_channels_and_measured(tumors, data_folder, tmp_path, monkeypatch):
    """The whole road of the benchmark, in some steps."""
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    import bench_tumors

    tumors.write_dataset(data_folder, tmp_path / "data", train=5, test=1)
    model = meddl.train(tmp_path / "data", out=tmp_path / "run", name=bench_tumors.MODEL,
                        config=meddl.TrainConfig(steps=60), device="cpu")
    assert model.card.channels == tumors.CHANNELS
    assert {label.name for label in model.card.labels} == set(tumors.REGIONS)
    rows = bench_tumors.score(tmp_path / "data", "Ts000", model.card.id, tumors.REGIONS)
    assert next(row for row in rows if row["region"] == "whole tumor")["dice"] > 0.05
    entry = {"data": "heads", "channels": list(tumors.CHANNELS), "steps": 60, "processor_minutes": 1.0, "rows": rows}
    assert "| heads: T1, T1ce, T2, FLAIR | 60, 1 | whole tumor | 1 |" in bench_tumors.table([entry])
