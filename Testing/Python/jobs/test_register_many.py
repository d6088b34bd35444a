"""Many registrations as one job: all to one, each follow-up to its baseline; killed and started again."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from many_pairs import QUICK, phantom, put_head, shift_of
from places import LIBRARY, SUPPORT
from small_models import models, rows_of  # noqa: F401

import meddl
from meddl.core.config import RegisterConfig
from meddl.core.errors import Cancelled, InputError
from meddl.jobs.journal import FILE
from meddl.spatial.volume import Volume

SHIFT = np.array([6.0, -4.0, 3.0])


@pytest.mark.slow
def test_all_volumes_of_a_folder_are_registered_to_one_as_they_are_alone(tmp_path, models):
    fixed = put_head(tmp_path / "fixed.nii.gz")
    put_head(tmp_path / "in" / "a.nii.gz", SHIFT)
    put_head(tmp_path / "in" / "deep" / "b.nrrd", -SHIFT)
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"no image")
    summary = meddl.register_many(tmp_path / "in", tmp_path / "out", QUICK, fixed=fixed, device="cpu",
                                  results=("warped", "transform", "inverse", "jacobian"))
    assert summary.counts == {"done": 2, "kept": 0, "failed": 1, "cancelled": 0}
    for name, file in (("a", "a.nii.gz"), ("deep/b", "deep/b.nrrd")):
        alone = meddl.register(fixed, tmp_path / "in" / file, QUICK, device="cpu")
        found = meddl.load_transform(tmp_path / "out" / "transforms" / f"{name}.h5")
        np.testing.assert_allclose(found.affine, alone.affine, atol=1e-6)
        warped = meddl.load(tmp_path / "out" / "warped" / f"{name}.nii.gz")
        assert warped.grid.same_as(phantom().grid)
        np.testing.assert_allclose(warped.data, alone.warp(meddl.load(tmp_path / "in" / file)).data, atol=1)
        back = meddl.load_transform(tmp_path / "out" / "inverse" / f"{name}.h5")
        np.testing.assert_allclose(back.affine @ found.affine, np.eye(4), atol=1e-6)
        assert np.allclose(meddl.load(tmp_path / "out" / "jacobian" / f"{name}.nii.gz").data, 1.0)
        figures = next(row.figures for row in summary.rows if row.case == name)
        assert figures["metric after"] == pytest.approx(alone.report["metric"]["after"], abs=1e-6)
        assert figures["overlap"] == pytest.approx(alone.report["overlap"])
    np.testing.assert_allclose(shift_of(tmp_path / "out" / "transforms" / "a.h5"), SHIFT, atol=1.0)
    rows = rows_of(tmp_path / "out")
    assert [(row["case"], row["state"]) for row in rows] == [("a", "done"), ("broken", "failed"), ("deep/b", "done")]
    assert float(rows[0]["metric after"]) > float(rows[0]["metric before"]) and "broken.nii.gz" in rows[1]["error"]
    assert list(rows[0])[:4] == ["case", "state", "seconds", "quality"]
    content = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert content["verb"] == "register" and content["choices"]["transform_type"] == "translation"


def test_a_label_map_is_not_blended_without_being_told_and_fields_are_as_accurate_as_asked(tmp_path, models):
    fixed = put_head(tmp_path / "fixed.nii.gz")
    labels = np.where(phantom(SHIFT).data > phantom().data.mean(), 40, 0).astype(np.uint8)
    (tmp_path / "in").mkdir()
    meddl.save(Volume(labels, phantom().affine), tmp_path / "in" / "a.nii.gz")
    config = RegisterConfig.from_preset("Deformable", levels_mm=(16.0, 8.0))
    sizes = []
    for tolerance_mm in (0.0, 1.0):
        summary = meddl.register_many(tmp_path / "in", tmp_path / f"out-{tolerance_mm}", config, fixed=fixed,
                                      device="cpu", field_tolerance_mm=tolerance_mm)
        assert any("label map" in text for text in summary.rows[0].warnings)
        made = tmp_path / f"out-{tolerance_mm}"
        assert set(np.unique(meddl.load(made / "warped" / "a.nii.gz").data)) <= {0, 40}
        sizes.append((made / "transforms" / "a.h5").stat().st_size)
    assert sizes[0] > 2 * sizes[1]


def test_each_follow_up_goes_to_its_baseline_and_a_table_names_other_pairs(tmp_path, models):
    for subject in ("sub-1", "sub-2"):
        put_head(tmp_path / "in" / subject / "ses-1" / "anat" / f"{subject}_ses-1_T1w.nii.gz", -SHIFT)
        put_head(tmp_path / "in" / subject / "ses-2" / "anat" / f"{subject}_ses-2_T1w.nii.gz")
    put_head(tmp_path / "in" / "sub-3" / "ses-1" / "anat" / "sub-3_ses-1_T1w.nii.gz")
    summary = meddl.register_many(tmp_path / "in", tmp_path / "out", QUICK, device="cpu", results=["transform"])
    assert [row.case for row in summary.rows] == [f"sub-{n}/ses-2/anat/sub-{n}_ses-2_T1w" for n in (1, 2)]
    assert summary.counts["done"] == 2 and "no other session of 'sub-3'" in summary.unused[0][1]
    for row in summary.rows:
        np.testing.assert_allclose(shift_of(row.output), SHIFT, atol=1.0)
    table = tmp_path / "in" / "pairs.csv"
    table.write_text("fixed,moving,name\nsub-3/ses-1/anat/sub-3_ses-1_T1w.nii.gz,sub-1/ses-1,one\n"
                     "sub-3/ses-1/anat/sub-3_ses-1_T1w.nii.gz,none.nii.gz,two\n")
    found = meddl.register_many(table, tmp_path / "pairs", QUICK, device="cpu")
    assert [(row.case, row.state) for row in found.rows] == [("one", "done"), ("two", "failed")]
    np.testing.assert_allclose(shift_of(tmp_path / "pairs" / "transforms" / "one.h5"), -SHIFT, atol=1.0)


def test_a_stopped_job_goes_on_and_does_again_what_has_changed(tmp_path, models):
    fixed = put_head(tmp_path / "fixed.nii.gz")
    for name in ("a", "b"):
        put_head(tmp_path / "in" / f"{name}.nii.gz", SHIFT)

    def stop(fraction, message):
        if message.startswith("1 of 2"):
            raise Cancelled("stop")

    def job(**more):
        return meddl.register_many(tmp_path / "in", tmp_path / "out", QUICK, fixed=fixed, device="cpu", **more)

    with pytest.raises(Cancelled):
        job(on_progress=stop)
    assert [row["state"] for row in rows_of(tmp_path / "out")] == ["done", "cancelled"]
    assert [path.name for path in (tmp_path / "out" / "warped").iterdir()] == ["a.nii.gz"]
    assert [row.state for row in job().rows] == ["kept", "done"]
    (tmp_path / "out" / "transforms" / "a.h5").unlink()  # one result of two is gone
    assert [row.state for row in job().rows] == ["done", "kept"]
    put_head(tmp_path / "in" / "b.nii.gz", -SHIFT)
    assert [row.state for row in job().rows] == ["kept", "done"]
    put_head(fixed, SHIFT)  # the fixed volume is an input of every pair
    assert [row.state for row in job().rows] == ["done", "done"]
    for other in ({"interpolation": "cubic"}, {"results": ("warped",)}, {"suffix": ".nrrd"}):
        with pytest.raises(InputError, match="another job"):
            job(**other)
    assert job(interpolation="cubic", overwrite=True).counts["done"] == 2


def test_what_cannot_be_done_is_refused_before_anything_is_written(tmp_path, models):
    fixed = put_head(tmp_path / "fixed.nii.gz")
    put_head(tmp_path / "in" / "a.nii.gz")
    (tmp_path / "empty").mkdir()
    (tmp_path / "pairs.csv").write_text("fixed,moving\na,b\n")
    for words, sources, more in (
            ("no pair of volumes", tmp_path / "empty", {"fixed": fixed}),
            ("no pair of volumes.*no folder of a subject", tmp_path / "in", {}),
            ("does not exist", tmp_path / "in", {"fixed": tmp_path / "gone.nii.gz"}),
            ("holds 0 volumes", tmp_path / "in", {"fixed": tmp_path / "empty"}),
            ("written as", tmp_path / "in", {"fixed": fixed, "suffix": ".png"}),
            ("Results of a registration", tmp_path / "in", {"fixed": fixed, "results": ("warp",)}),
            ("Results of a registration", tmp_path / "in", {"fixed": fixed, "results": ()}),
            ("interpolation", tmp_path / "in", {"fixed": fixed, "interpolation": "none"}),
            ("preset", tmp_path / "in", {"fixed": fixed, "config": QUICK, "preset": "affine"}),
            ("Give it alone", tmp_path / "pairs.csv", {"fixed": fixed})):
        with pytest.raises(InputError, match=words):
            meddl.register_many(sources, tmp_path / "out", **more)
    with pytest.raises(InputError, match="is where the volumes are"):
        meddl.register_many(tmp_path / "in", tmp_path / "in", fixed=fixed)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_thirty_pairs_with_failures_and_a_kill_in_between_lose_nothing(tmp_path):
    fixed, out = put_head(tmp_path / "fixed.nii.gz"), tmp_path / "out"
    good = [f"{number:02d}" for number in range(27)]
    for number, name in enumerate(good):
        put_head(tmp_path / "in" / f"{name}.nii.gz", SHIFT * (number % 3 - 1))
    (tmp_path / "in" / "03-broken.nii.gz").write_bytes(b"no image")
    meddl.save(meddl.Volume.scalar(np.full((6, 6, 6), 5, np.int16), np.eye(4)), tmp_path / "in" / "04-flat.nii.gz")
    whole = (tmp_path / "in" / "05.nii.gz").read_bytes()
    (tmp_path / "in" / "20-cut.nii.gz").write_bytes(whole[:len(whole) // 2])
    code = ("import sys\nfrom many_pairs import QUICK\nimport meddl\n"
            "if __name__ == '__main__':\n"
            "    meddl.register_many(sys.argv[1], sys.argv[2], QUICK, fixed=sys.argv[3], device='cpu', threads=1)\n")
    (tmp_path / "job.py").write_text(code)
    job = subprocess.Popen([sys.executable, tmp_path / "job.py", tmp_path / "in", out, fixed], env={
        **os.environ, "PYTHONPATH": os.pathsep.join((str(LIBRARY), str(SUPPORT)))})
    deadline = time.monotonic() + 120
    while len(list((out / "transforms").glob("*.h5"))) < 8 and time.monotonic() < deadline and job.poll() is None:
        time.sleep(0.01)
    job.send_signal(signal.SIGKILL)
    job.wait()
    noted = [json.loads(line) for line in (out / FILE).read_text().splitlines()]
    ended = {line["ended"] for line in noted if "ended" in line}
    assert 6 <= len(ended) < len(good)
    (out / "warped" / f".{'0' * 32}.nii.gz").write_bytes(b"half")  # as a worker leaves it that is killed as it writes
    kept = {name: (out / "warped" / f"{name}.nii.gz").stat().st_mtime_ns for name in ended}
    summary = meddl.register_many(tmp_path / "in", out, QUICK, fixed=fixed, device="cpu", threads=1)
    assert summary.counts == {"done": 27 - len(ended), "kept": len(ended), "failed": 3, "cancelled": 0}
    assert {name: (out / "warped" / f"{name}.nii.gz").stat().st_mtime_ns for name in ended} == kept
    assert {row.case for row in summary.rows if row.state == "kept"} == ended
    for number, name in enumerate(good):
        np.testing.assert_allclose(shift_of(out / "transforms" / f"{name}.h5"), SHIFT * (number % 3 - 1), atol=1.5)
        assert meddl.load(out / "warped" / f"{name}.nii.gz").grid.same_as(phantom().grid)
    assert [row.case for row in summary.failed] == ["03-broken", "04-flat", "20-cut"]
    assert all(row.error for row in summary.failed) and "03-broken" in summary.failed[0].error
    assert sorted(path.name for path in (out / "warped").iterdir()) == [f"{name}.nii.gz" for name in good]
    rows = rows_of(out)
    assert len(rows) == 30 and all(float(row["metric after"]) > 1 for row in rows if row["state"] != "failed")
    again = meddl.register_many(tmp_path / "in", out, QUICK, fixed=fixed, device="cpu")
    assert again.counts == {"done": 0, "kept": 27, "failed": 3, "cancelled": 0}
