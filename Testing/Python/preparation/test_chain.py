"""Chains: as JSON and back, from words, on folders, in reports, cancelled."""

import json

import numpy as np
import pytest

import meddl
from meddl.cli import main
from meddl.core.errors import Cancelled, InputError
from meddl.preparation.prepare import prepare_folder
from meddl.preparation.steps import (
    N4,
    STEPS,
    Crop,
    Denoise,
    Equalize,
    Normalize,
    Reorient,
    Resample,
    Resize,
    chain_from_text,
    chain_to_text,
    step_from_words,
)
from meddl.spatial.volume import Volume

CHAIN = (N4(shrink=2, levels=2), Denoise(iterations=2), Equalize(), Crop(margin_mm=3.0), Resample(spacing_mm=(2.0,)),
         Reorient(codes="LPS"), Resize(voxels=(16, 16, 16)), Normalize(method="percentile"))


@pytest.fixture
def volume():
    i, j, k = np.meshgrid(*[np.linspace(-1, 1, n) for n in (30, 28, 26)], indexing="ij")
    image = np.where(i ** 2 + j ** 2 + k ** 2 < 0.6, 100.0, 1.0) + np.random.default_rng(0).random((30, 28, 26))
    return Volume.scalar(image.astype(np.float32), np.diag([1.5, 1.5, 1.5, 1.0]))


def test_a_chain_survives_json_with_all_its_values():
    text = chain_to_text(CHAIN)
    assert chain_from_text(text) == CHAIN
    assert json.loads(text)["steps"][0] == {"step": "n4", "shrink": 2, "levels": 2, "iterations": 50}
    assert {type(step) for step in CHAIN} == set(STEPS.values())


def test_a_chain_is_reproducible_from_its_json_and_from_its_report(volume):
    first = meddl.prepare(volume, CHAIN)
    again = meddl.prepare(volume, chain_from_text(chain_to_text(CHAIN)))
    assert np.array_equal(first.volume.data, again.volume.data) and first.volume.grid.same_as(again.volume.grid)
    steps = first.report["steps"]
    names = ["n4", "denoise", "equalize", "crop", "resample", "reorient", "resize", "normalize"]
    assert [entry["step"] for entry in steps] == names
    known = {name: set(STEPS[name].__dataclass_fields__) for name in STEPS}
    written = json.dumps({"steps": [{key: value for key, value in json.loads(json.dumps(entry)).items()
                                     if key == "step" or key in known[entry["step"]]} for entry in steps]})
    assert chain_from_text(written) == CHAIN
    assert len(first.report["seconds"]) == len(CHAIN) + 1


@pytest.mark.parametrize("step", [*CHAIN, Normalize(), Normalize(nonzero=True), Equalize(method="adaptive"),
                                  Resize(voxels=(16,), keep_spacing=True)])
def test_no_step_changes_the_input(volume, step):
    before = volume.data.copy()
    meddl.prepare(volume, [step])
    assert np.array_equal(volume.data, before)


@pytest.mark.parametrize("words, step", [
    ("n4", N4()), ("denoise:method=network,iterations=2", Denoise(method="network", iterations=2)),
    ("resample:spacing_mm=1x1x2,antialiasing=no", Resample(spacing_mm=(1.0, 1.0, 2.0), antialiasing=False)),
    ("resize:voxels=64", Resize(voxels=(64,))),
    ("normalize:method=window,level_hu=-600", Normalize("window", level_hu=-600.0))])
def test_steps_from_words(words, step):
    assert step_from_words(words) == step


@pytest.mark.parametrize("words, message", [
    ("n5", "one of n4, denoise"), ("n4:shrinks=2", "has the fields shrink"), ("n4:shrink=two", "cannot be 'two'"),
    ("n4:shrink=1.5", "cannot be '1.5'"), ("denoise:method=magic", "one of curvature"),
    ("n4:shrink", "NAME:FIELD=VALUE"),
    ("resample:antialiasing=maybe", "cannot be 'maybe'")])
def test_what_is_no_step_is_refused(words, message):
    with pytest.raises(InputError, match=message):
        step_from_words(words)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"steps": 3}', '{"steps": ["n4"]}',
                                  '{"steps": [{"step": "n4", "shrink": {}}]}', '{"format": 9, "steps": []}',
                                  '{"steps": [{}]}'])
def test_what_is_no_chain_is_refused(text):
    with pytest.raises(InputError):
        chain_from_text(text)


def test_a_run_is_cancelled_between_steps(volume):
    def stop(fraction, words):
        if fraction > 0.1:
            raise Cancelled("The run was cancelled.")

    with pytest.raises(Cancelled):
        meddl.prepare(volume, CHAIN, on_progress=stop)


def test_no_step_and_values_that_are_not_finite_are_refused(volume):
    with pytest.raises(InputError, match="no step"):
        meddl.prepare(volume, [])
    broken = volume.data.copy()
    broken[0, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        meddl.prepare(Volume(broken, volume.affine), [Normalize()])


def test_the_command_prepares_a_volume_and_keeps_the_chain(volume, tmp_path, capsys):
    meddl.save(volume, tmp_path / "in.nii.gz")
    assert main(["prepare", str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "out.nrrd"), "--step", "crop:margin_mm=3",
                 "--step", "normalize", "--save-chain", str(tmp_path / "chain.json"),
                 "--report", str(tmp_path / "report.json")]) == 0
    assert "crop, normalize" in capsys.readouterr().out
    expected = meddl.prepare(volume, [Crop(margin_mm=3.0), Normalize()]).volume
    assert np.allclose(meddl.load(tmp_path / "out.nrrd").data, expected.data, atol=1e-4)
    report = json.loads((tmp_path / "report.json").read_text())
    assert [entry["step"] for entry in report["steps"]] == ["crop", "normalize"]
    assert main(["prepare", str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "again.nrrd"),
                 "--chain", str(tmp_path / "chain.json")]) == 0
    assert np.array_equal(meddl.load(tmp_path / "again.nrrd").data, meddl.load(tmp_path / "out.nrrd").data)
    assert main(["prepare", str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "x.nrrd")]) == 2


def test_the_command_prepares_a_folder(volume, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for number in range(2):
        meddl.save(volume, tmp_path / "in" / f"case{number}.nii.gz")
    meddl.save(Volume.scalar(volume.scalar_data - 500, volume.affine), tmp_path / "in" / "negative.nii.gz")
    assert main(["prepare", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--step", "n4:shrink=4,levels=1"]) == 1
    shown = capsys.readouterr()
    assert "2 of 3 volumes prepared" in shown.out and "negative" in shown.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "case0.json", "case0.nii.gz", "case1.json", "case1.nii.gz"]
    report = json.loads((tmp_path / "out" / "case0.json").read_text())
    assert report["steps"][0]["shrink"] == 4 and report["steps"][0]["bias_field_range"]


def test_a_damaged_file_in_a_folder_is_one_failed_case(volume, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.nii.gz", "b.nii.gz", "c.nii.gz"):
        meddl.save(volume, tmp_path / "in" / name)
    whole = (tmp_path / "in" / "b.nii.gz").read_bytes()
    (tmp_path / "in" / "b.nii.gz").write_bytes(whole[:len(whole) // 2])
    rows = prepare_folder(tmp_path / "in", tmp_path / "out", [Reorient(codes="LPS")])
    assert [bool(row["error"]) for row in rows] == [False, True, False] and "b.nii.gz" in rows[1]["error"]
    assert json.loads((tmp_path / "out" / "c.json").read_text())["device"].startswith("cpu")
