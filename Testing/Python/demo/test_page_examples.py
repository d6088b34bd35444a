"""What the pages say to type in a shell and in Python is run, each block on small files of the names that it uses.

The model `brain` is a small one with random weights here; the README's examples run with its own (`test_readme.py`),
those for Slicer's console in `test_console_examples.py`.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from documents import PAGES, README, blocks
from example_files import put_example_files
from nnunet_folder import write_nnunet
from small_models import LastingWorker

from meddl import cli
from meddl.core.paths import resources_folder
from meddl.jobs import local
from meddl.models.store.store import ModelStore
from meddl.worker import Worker

# What is not run here, by a part of the line or block, and why.
NOT_RUN = {
    "meddl train ": "trains for minutes or hours; the tests of training do for seconds",
    "meddl.train": "likewise", "train_model(": "likewise", "meddl.segment_rest": "of a model of such a training",
    "--model my-scanner": "likewise", "my-sequences": "likewise", "my-landmarks": "likewise",
    "meddl models install run/my-brain": "likewise",
    "meddl federate ": "trains; test_federation.py does for seconds", "meddl.contribute": "likewise",
    "meddl models shrink": "trains; test_shrink.py does for seconds", "meddl.shrink_model": "likewise",
    "--data DATA": "hours, on data that are not part of the project",
    "--engine ray": "needs a cluster", "cuda:0": "needs a GPU", "dependencies.ensure": "installs packages",
    "-m pip ": "needs the network", "git clone": "needs the network", "make ": "test_readme.py knows why",
    "pip install": "needs the network",
    "meddl models install totalsegmentator": "needs the network", "meddl models remove totalsegmentator": "likewise",
    "--format monai": "of a model that MedDL has trained; test_export.py does",
    "PATIENT": "a patient's DICOM files; test_cli_series.py has such folders", "python -c": "minutes, at 1 mm",
    "--method self-training": "takes a minute; test_superres_methods.py gives it seconds",
    "flair.nii.gz": "of a model of such a training, on four contrasts; test_tumor_patients.py has them",
    "meddl compare tumor.seg.nrrd": "likewise",
    "meddl synthesize": "needs a head; test_missing_channels.py has one", "synthesize_contrast": "likewise",
    "--synthesize-missing": "likewise", "complete_channels": "likewise",
    "meddl demo": "test_demo.py runs it", "meddl landmarks": "needs a head and the real model; test_find_landmarks.py "
    "has both", "meddl.find_landmarks": "likewise",
}
WRITTEN = {"-o", "--out", "--output", "--inverse", "--matched", "--transforms", "--report", "--save-chain"}
BLOCKS = [(page, kind, number, block) for page in PAGES if page != README for kind in ("sh", "python")
          for number, block in enumerate(blocks(page, kind)) if "slicer.util" not in block]


def is_left_out(text: str) -> bool:
    return any(part in text for part in NOT_RUN)


def parts(kind: str, block: str) -> list[str]:
    """The lines of a shell block, or the one text in Python; comments and continued lines belong to them."""
    if kind == "python" or block.startswith("python -c"):
        return [block]
    return [line for line in block.splitlines() if line.strip()]


RUN = [(page, kind, number, block) for page, kind, number, block in BLOCKS
       if not all(map(is_left_out, parts(kind, block)))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files, and models of the names that the pages use."""
    base = tmp_path_factory.mktemp("examples")
    shipped = base / "Resources"
    (shipped / "Models").mkdir(parents=True)
    for place in resources_folder().iterdir():
        if place.name != "Models":
            (shipped / place.name).symlink_to(place)
    for place in (resources_folder() / "Models").iterdir():
        if place.name != "brain":
            (shipped / "Models" / place.name).symlink_to(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDDL_CACHE", str(base / "cache"))
        patch.setenv("MEDDL_RESOURCES", str(shipped))
        patch.setenv("MEDDL_PRECISION", "float32")
        _put_models(base)
        put_example_files(base / "files")
        shared = LastingWorker(preload=("torch",))
        patch.setattr(local, "Worker", lambda **_: shared)
        yield base / "files"
        Worker.close(shared)


def _put_models(base) -> None:
    both = {"background": 0, "left hippocampus": 1, "right hippocampus": 2}
    for name, labels, channels in (("brain", both, ("MR",)), ("liver", None, ("CT",)), ("my-tumors", None, ("MR",)),
                                   ("my-model", {"background": 0, "Liver": 1}, ("MR",)), ("tumor", None, ("T1", "T2"))):
        write_nnunet(base / name, labels=labels, channels=channels)
        ModelStore().import_model(base / name, identifier=name)
        ModelStore().accept_license(name)
    write_nnunet(base / "files" / "nnUNetTrainer__nnUNetPlans__3d_fullres", channels=("CT",))


def run_line(line: str) -> None:
    """Run a command; what an earlier line of the block has written under the same name goes before."""
    words = shlex.split(line, comments=True)[1:]
    written = WRITTEN | ({"--transform"} if words[0] == "register" else set())
    for option, value in zip(words, words[1:], strict=False):
        if option in written and (place := Path(value)).exists():
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        if option == "--id":
            ModelStore().remove(value)
    assert cli.main(words) == 0, line


@pytest.mark.parametrize(("page", "kind", "number", "block"), RUN,
                         ids=[f"{page.stem}-{kind}-{number}" for page, kind, number, _ in RUN])
def test_a_block_runs(page, kind, number, block, folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    if kind == "python":
        exec(compile(block, str(page), "exec"), {})  # noqa: S102  the project's own text
        return
    for line in parts(kind, block):
        if not is_left_out(line):
            run_line(line)


def test_what_is_not_run_is_there_and_all_else_is_of_the_program():
    texts = [text for _page, kind, _number, block in BLOCKS for text in parts(kind, block)]
    assert not [part for part in NOT_RUN if not any(part in text for text in texts)]
    left = [text for _page, kind, _number, block in BLOCKS if kind == "sh" for text in parts(kind, block)
            if not is_left_out(text) and not re.match(r"meddl ", text)]
    assert not left
