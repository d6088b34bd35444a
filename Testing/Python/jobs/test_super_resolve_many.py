"""Many super-resolutions as one job."""

import numpy as np
import pytest
from small_models import models, rows_of  # noqa: F401
from superres_phantoms import affine, textured

import meddl
from meddl.core.config import SuperResolveConfig
from meddl.core.errors import InputError

CUBIC = SuperResolveConfig(method="cubic")


def put_thick(path, seed=0):
    """A volume of thick slices."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meddl.save(meddl.Volume.scalar(textured((16, 16, 6), seed).astype(np.float32), affine((1.0, 1.0, 3.0))), path)
    return path


def test_every_volume_of_a_folder_becomes_as_sharp_as_alone_and_a_stopped_job_goes_on(tmp_path, models):
    put_thick(tmp_path / "in" / "a.nii.gz", 1)
    put_thick(tmp_path / "in" / "deep" / "b.nrrd", 2)
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"no image")
    summary = meddl.super_resolve_many(tmp_path / "in", tmp_path / "out", CUBIC, device="cpu")
    assert summary.counts == {"done": 2, "kept": 0, "failed": 1, "cancelled": 0}
    for name, file in (("a", "a.nii.gz"), ("deep/b", "deep/b.nrrd")):
        alone = meddl.super_resolve(tmp_path / "in" / file, CUBIC, device="cpu").volume
        found = meddl.load(tmp_path / "out" / f"{name}.nii.gz")
        assert found.grid.same_as(alone.grid) and found.spacing_mm[2] == pytest.approx(1.0)
        np.testing.assert_allclose(found.data, alone.data, atol=1e-5)
    rows = rows_of(tmp_path / "out")
    assert [row["state"] for row in rows] == ["done", "failed", "done"] and "broken" in rows[1]["error"]
    assert (rows[0]["method"], rows[0]["voxels before [mm]"], rows[0]["voxels after [mm]"]) == (
        "cubic", "1 x 1 x 3", "1 x 1 x 1")
    assert meddl.super_resolve_many(tmp_path / "in", tmp_path / "out", CUBIC, device="cpu").counts["kept"] == 2
    with pytest.raises(InputError, match="another job: its choices differed"):
        meddl.super_resolve_many(tmp_path / "in", tmp_path / "out", SuperResolveConfig(method="back-projection"))


def test_another_verb_finds_the_folder_of_its_results_taken(tmp_path, models):
    put_thick(tmp_path / "in" / "a.nii.gz")
    meddl.super_resolve_many(tmp_path / "in", tmp_path / "out", CUBIC, device="cpu")
    with pytest.raises(InputError, match="another job"):
        meddl.register_many(tmp_path / "in", tmp_path / "out", fixed=put_thick(tmp_path / "fixed.nii.gz"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no volume"):
        meddl.super_resolve_many(tmp_path / "empty", tmp_path / "more")
