"""Models, reports and contributions of a training on files that name patients: nothing of them is found in any byte."""

import base64
import datetime
import gzip
import io
import re
import zipfile
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from labeled_phantoms import AFFINE, ball_case
from shell import run

import meddl
from meddl.core.paths import cache_folder
from meddl.models.store.export import FORMATS
from meddl.models.weights import load_weights
from meddl.training.supervised import plan

SECRET = "Zaphod"
DATE = "19700501"
CONFIG = {"network": "nnunet", "patch_voxels": (16, 16, 16), "batch": 2, "steps": 1}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Cases whose folders, files and headers name a patient and a date, and a model that was trained on them."""
    folder = tmp_path_factory.mktemp("site") / SECRET
    for n in range(4):
        image, labels = ball_case(n)
        for kind, values in (("images", image.scalar_data), ("labels", labels.scalar_data)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            stored = nibabel.Nifti1Image(values, AFFINE)
            stored.header["descrip"] = f"{SECRET} {DATE}".encode()
            nibabel.save(stored, folder / kind / f"{SECRET}_{DATE}_{n}.nii.gz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDDL_CACHE", str(folder / "cache"))
        patch.setattr(plan, "FEATURES", (8, 16, 16, 16, 16, 16))
        model = meddl.train(folder / "images", folder / "labels", out=folder / "run", name="balls", device="cpu",
                            config=meddl.TrainConfig(**CONFIG))
        yield folder, model


def contents(name: str, content: bytes):
    """(name, bytes) of a file and of all that is packed within it: archives, gzip, pictures of a page."""
    yield name, content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                yield from contents(f"{name}/{entry.filename}", archive.read(entry) + entry.comment + entry.extra)
    elif content[:2] == b"\x1f\x8b":
        yield from contents(f"{name}/gzip", gzip.decompress(content))
    for number, packed in enumerate(re.findall(rb"data:image/png;base64,([\w+/=]+)", content)):
        yield from contents(f"{name}/picture {number}", base64.b64decode(packed))
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        for text in re.findall(rb"zTXt[^\0]+\0\0(.*?)....IDAT", content, re.DOTALL):
            yield f"{name}/text", zlib.decompress(text)


def faults(place: Path, folder: Path) -> list[str]:
    """Where something of a patient, of this machine's paths or of this day is found."""
    today = datetime.date.today()
    words = [SECRET, SECRET.lower(), DATE, "1970-05-01", str(folder), str(folder.parent), str(Path.home()),
             f"{today:%Y-%m-%d}", f"{today:%Y%m%d}"]
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    assert files
    found = []
    for path in files:
        for name, content in contents(path.relative_to(place.parent).as_posix(), path.read_bytes()):
            found += [f"{word} in {name}" for word in words if word.encode() in content or word in name]
    return found


def test_what_is_hidden_in_an_archive_or_a_picture_is_found(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.gz", gzip.compress(b"x" * 99 + SECRET.encode()))
    page = base64.b64encode(b"\x89PNG\r\n\x1a\n" + DATE.encode()).decode()
    (tmp_path / "c.html").write_text(f"<img src='data:image/png;base64,{page}'>")
    assert faults(tmp_path / "a.zip", tmp_path / "no") == ["Zaphod in a.zip/b.gz/gzip"]
    assert faults(tmp_path / "c.html", tmp_path / "no") == [f"{DATE} in c.html/picture 0"]


@pytest.mark.parametrize("kind", FORMATS)
def test_an_exported_model(site, tmp_path, kind):
    place = meddl.export_model("balls", tmp_path / "out", kind).path
    assert faults(place, site[0]) == []


def test_a_model_that_was_fine_tuned_from_a_folder(site, tmp_path):
    folder, model = site
    start = folder / f"of {SECRET}"
    start.mkdir()
    for path in model.folder.iterdir():
        (start / path.name).write_bytes(path.read_bytes())
    config = meddl.TrainConfig(**{**CONFIG, "start": str(start)} | {"network": "dynunet"})
    meddl.train(folder / "images", folder / "labels", out=folder / "tuned", name="tuned", device="cpu", config=config)
    assert faults(meddl.export_model("tuned", tmp_path / "out", "zip").path, folder) == []


def test_no_image_is_in_the_weights(site):
    """No more numbers than the network has, and none that are a case's intensities in a row."""
    folder, model = site
    weights = load_weights(model.folder / model.card.own_weights.file)
    image = meddl.load(folder / "images" / f"{SECRET}_{DATE}_0.nii.gz").scalar_data
    row = image[:, 8, 8].tobytes()
    stored = (model.folder / model.card.own_weights.file).read_bytes()
    assert row not in stored and row[:8] not in stored
    assert all(np.isfinite(tensor.float().numpy()).all() for tensor in weights.values())
    from meddl.networks import build_network

    (spec,) = model.card.networks.values()
    expected = build_network(spec.architecture, dict(spec.arguments)).state_dict()
    assert sorted(tensor.numel() for tensor in weights.values()) == sorted(t.numel() for t in expected.values())


@pytest.mark.parametrize("suffix", ["html", "json"])
def test_a_report(site, tmp_path, suffix):
    folder, _model = site
    source = folder / "images" / f"{SECRET}_{DATE}_0.nii.gz"
    report = tmp_path / f"report.{suffix}"
    assert run("segment", source, "-o", tmp_path / "labels.nii.gz", "--model", "balls", "--report", report,
               "--device", "cpu") == 0
    assert "balls" in report.read_text(encoding="utf-8") and faults(report, folder) == []
    assert run("segment", source, "-o", tmp_path / "again.nii.gz", "--model", "balls", "--report", report,
               "--report-inputs", "--overwrite", "--device", "cpu") == 0
    assert faults(report, folder)  # asked for


def test_a_contribution_to_a_federation(site, tmp_path):
    folder, _model = site
    meddl.start_federation(tmp_path / "common", folder / "images", folder / "labels", name="balls",
                           config=meddl.TrainConfig(**CONFIG))
    meddl.contribute(tmp_path / "common", folder / "images", folder / "labels", work=folder / "work",
                     out=tmp_path / "given.safetensors", config=meddl.TrainConfig(steps=1, batch=2), device="cpu")
    for place in (tmp_path / "common", tmp_path / "given.safetensors"):
        assert faults(place, folder) == []


def test_what_stays_here_may_name_cases(site):
    """The search finds what is there: the installed card, which does not leave, names cases."""
    assert faults(cache_folder() / "Models" / "balls", site[0])
