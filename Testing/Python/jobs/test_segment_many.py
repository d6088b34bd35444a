"""A folder in, a folder of labels and a table out: resumed, cancelled, with cases that fail."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from channel_images import blobs, three
from nnunet_folder import write_nnunet
from small_models import AFFINE, EXACT, models, put, rows_of  # noqa: F401

import meddl
from meddl.core.config import SegmentConfig
from meddl.core.errors import Cancelled, InputError, ModelNotFoundError
from meddl.io import to_sitk


def test_every_volume_of_a_folder_gets_the_labels_that_it_gets_alone(tmp_path, models):
    put(tmp_path / "in" / "a.nii.gz", 1)
    put(tmp_path / "in" / "deep" / "b.nrrd", 2)
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"no image")
    summary = meddl.segment_many(tmp_path / "in", tmp_path / "out", "one", EXACT, device="cpu")
    assert summary.counts == {"done": 2, "kept": 0, "failed": 1, "cancelled": 0}
    for name, source in (("a", "a.nii.gz"), ("deep/b", "deep/b.nrrd")):
        alone = meddl.segment(meddl.load(tmp_path / "in" / source), "one", EXACT, device="cpu")
        found = meddl.load(tmp_path / "out" / f"{name}.nii.gz")
        np.testing.assert_array_equal(found.scalar_data, alone.labels)
        assert found.grid.same_as(alone.grid)
        row = next(row for row in summary.rows if row.case == name)
        assert row.volumes_ml == alone.report["volumes_ml"] and row.seconds > 0
    rows = rows_of(tmp_path / "out")
    assert [(row["case"], row["state"]) for row in rows] == [("a", "done"), ("broken", "failed"), ("deep/b", "done")]
    assert "broken.nii.gz" in rows[1]["error"] and rows[1]["liver [ml]"] == ""
    assert float(rows[0]["liver [ml]"]) == summary.rows[0].volumes_ml["liver"]

    again = meddl.segment_many(tmp_path / "in", tmp_path / "out", "one", EXACT, device="cpu")
    assert again.counts == {"done": 0, "kept": 2, "failed": 1, "cancelled": 0}
    assert again.rows[0].volumes_ml == summary.rows[0].volumes_ml


def test_a_job_goes_on_and_does_again_what_has_changed(tmp_path, models):
    put(tmp_path / "in" / "a.nii.gz", 1)
    put(tmp_path / "in" / "b.nii.gz", 2)

    def stop(fraction, message):
        if message.startswith("1 of 2"):
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        meddl.segment_many(tmp_path / "in", tmp_path / "out", "one", EXACT, device="cpu", on_progress=stop)
    assert [row["state"] for row in rows_of(tmp_path / "out")] == ["done", "cancelled"]
    assert not (tmp_path / "out" / "b.nii.gz").exists()
    first = (tmp_path / "out" / "a.nii.gz").stat().st_mtime_ns
    summary = meddl.segment_many(tmp_path / "in", tmp_path / "out", "one", EXACT, device="cpu")
    assert [row.state for row in summary.rows] == ["kept", "done"]
    assert (tmp_path / "out" / "a.nii.gz").stat().st_mtime_ns == first
    put(tmp_path / "in" / "a.nii.gz", 3, (20, 20, 20))
    summary = meddl.segment_many(tmp_path / "in", tmp_path / "out", "one", EXACT, device="cpu")
    assert [row.state for row in summary.rows] == ["done", "kept"]
    assert meddl.load(tmp_path / "out" / "a.nii.gz").shape == (20, 20, 20)
    with pytest.raises(InputError, match="another job"):
        meddl.segment_many(tmp_path / "in", tmp_path / "out", "one", device="cpu")
    anew = meddl.segment_many(tmp_path / "in", tmp_path / "out", "one", device="cpu", overwrite=True)
    assert anew.counts["done"] == 2


def test_files_that_were_there_are_not_overwritten(tmp_path, models):
    put(tmp_path / "in" / "a.nii.gz", 1)
    put(tmp_path / "out" / "a.nii.gz", 7)
    before = (tmp_path / "out" / "a.nii.gz").read_bytes()
    summary = meddl.segment_many(tmp_path / "in", tmp_path / "out", "one", device="cpu")
    assert summary.counts["failed"] == 1 and "was there before" in summary.failed[0].error
    assert (tmp_path / "out" / "a.nii.gz").read_bytes() == before


def test_channels_are_put_together_by_their_names(tmp_path, models):
    first, second, third = three()
    (tmp_path / "in").mkdir()
    meddl.save(first, tmp_path / "in" / "a_0000.nii.gz")
    meddl.save(third, tmp_path / "in" / "a_0001.nrrd")
    meddl.save(first, tmp_path / "in" / "b_0000.nii.gz")
    sitk.WriteImage(sitk.JoinSeries([to_sitk(first), to_sitk(second)]), str(tmp_path / "in" / "c.nii.gz"))
    summary = meddl.segment_many(tmp_path / "in", tmp_path / "out", "two", EXACT, suffix=".seg.nrrd", device="cpu")
    assert [row.state for row in summary.rows] == ["done", "failed", "done"]
    assert "b_0001 (T2) is missing" in summary.rows[1].error
    for name, other in (("a", third), ("c", second)):
        alone = meddl.segment(first, "two", EXACT, others=[other], device="cpu")
        found = meddl.load_segmentation(tmp_path / "out" / f"{name}.seg.nrrd")
        assert (found.labels == alone.labels).mean() > 0.999


def test_time_points_become_a_label_map_with_four_axes_and_a_row_each(tmp_path, models):
    (tmp_path / "in").mkdir()
    frames = [blobs((20, 18, 16), AFFINE, seed) for seed in (1, 2, 3)]
    sitk.WriteImage(sitk.JoinSeries([to_sitk(frame) for frame in frames], 0.0, 2.5), str(tmp_path / "in" / "f.nii.gz"))
    without = meddl.segment_many(tmp_path / "in", tmp_path / "out", "one", EXACT, device="cpu")
    assert "time points" in without.failed[0].error
    summary = meddl.segment_many(tmp_path / "in", tmp_path / "frames", "one", EXACT, frames=True, device="cpu")
    assert [row.frame for row in summary.rows] == [0, 1, 2]
    found = sitk.ReadImage(str(tmp_path / "frames" / "f.nii.gz"))
    assert found.GetSpacing()[3] == 2.5
    labels = sitk.GetArrayFromImage(found).transpose(0, 3, 2, 1)
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(labels[number], meddl.segment(frame, "one", EXACT, device="cpu").labels)


def test_what_cannot_be_done_is_refused_before_anything_is_written(tmp_path, models):
    put(tmp_path / "in" / "a.nii.gz")
    (tmp_path / "empty").mkdir()
    for words, sources, more in (
            ("no volume", tmp_path / "empty", {}), ("does not exist", tmp_path / "gone", {}),
            ("written as", tmp_path / "in", {"suffix": ".png"}), ("engine", tmp_path / "in", {"engine": "slurm"}),
            ("four axes", tmp_path / "in", {"suffix": ".seg.nrrd", "frames": True}),
            ("1 or more", tmp_path / "in", {"workers": 0}),
            ("no structure 'splen'", tmp_path / "in", {"config": SegmentConfig(structures=("splen",))})):
        with pytest.raises(InputError, match=words):
            meddl.segment_many(sources, tmp_path / "out", "one", **more)
    with pytest.raises(InputError, match="is where the volumes are"):
        meddl.segment_many(tmp_path / "in", tmp_path / "in", "one")
    with pytest.raises(ModelNotFoundError):
        meddl.segment_many(tmp_path / "in", tmp_path / "out", "none such")
    assert not (tmp_path / "out").exists()


def test_a_collection_and_a_choice_of_structures(tmp_path, models):
    from meddl.models.catalog.collections import merge_models

    write_nnunet(tmp_path / "second", folds=(5,))
    models.import_model(tmp_path / "second", identifier="second")
    merge_models("both", ["one", "second"], values=[{1: 1}, {2: 2}], names={1: "liver", 2: "spleen"})
    put(tmp_path / "in" / "a.nii.gz", 1)
    chosen = SegmentConfig(float32=True, structures=("spleen",))
    for _ in range(2):
        summary = meddl.segment_many(tmp_path / "in", tmp_path / "out", "both", chosen, device="cpu")
    assert summary.counts["kept"] == 1 and summary.structures == ("spleen",)
    assert "liver [ml]" not in rows_of(tmp_path / "out")[0]


def test_the_summary_says_what_was_done_how(tmp_path, models):
    put(tmp_path / "in" / "a.nii.gz")
    meddl.segment_many([tmp_path / "in" / "a.nii.gz"], tmp_path / "out", "one", EXACT, device="cpu", workers=2)
    content = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (content["model"], content["engine"], content["workers"]) == ("one", "local", 1)
    assert content["choices"]["float32"] is True and content["device"].startswith("cpu")
