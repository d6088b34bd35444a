"""The README: what it says to type is run, links from the modules find their sections, packages are named."""

import os
import re
import shlex

import pytest
from documents import README, anchors, blocks, shell_lines, text_of
from places import REPOSITORY as ROOT

from meddl import cli, samples
from meddl.core.paths import resources_folder
from meddl.io import load, load_segmentation, load_transform, save

TEXT = text_of(README)
# What no test here runs: these need the network, or are what runs the tests.
NOT_RUN = {"make demo": "test_demo.py runs what it starts", "make test": "runs these tests",
           "pip install git+https://github.com/MedDL/SlicerMedDL": "needs the network"}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files that the README's examples read, in the current folder."""
    monkeypatch.chdir(tmp_path)
    save(samples.head_image("T1", 3.0), "head.nii.gz")
    save(samples.head_image("T1", 3.0), "fixed.nii.gz")
    save(samples.head_image("T2", 3.0, seed=7), "moving.nii.gz")
    save(samples.head_image("T2", (3.0, 3.0, 6.0)), "thick.nii.gz")
    return tmp_path


def check_results():
    """What the examples write, where they have written it."""
    read = {"head.seg.nrrd": load_segmentation, "warped.nii.gz": load, "sharp.nii.gz": load,
            "moving-to-fixed.h5": load_transform}
    made = [name for name in read if os.path.exists(name)]  # noqa: PTH110  of the current folder
    for name in made:
        read[name](name)
    return set(made)


def test_the_commands_in_the_shell_make_their_files(files):
    lines = shell_lines(README, "meddl")
    assert len(lines) == 3
    for line in lines:
        assert cli.main(shlex.split(line, comments=True)[1:]) == 0, line
    assert check_results() == {"head.seg.nrrd", "warped.nii.gz", "sharp.nii.gz", "moving-to-fixed.h5"}


@pytest.mark.slow
def test_the_example_in_python_makes_its_files(files, capsys):
    (block,) = [block for block in blocks(README, "python") if "slicer." not in block]
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102  the project's own text
    assert 0.5 < float(capsys.readouterr().out) < 10
    assert check_results() == {"head.seg.nrrd", "warped.nii.gz", "sharp.nii.gz"}


def test_all_other_commands_are_known_and_not_run_for_a_reason():
    lines = [re.sub(r"\s+#.*", "", line) for block in blocks(README, "sh") for line in block.splitlines()]
    inline = re.findall(r"`((?:pip|make|meddl|python) [^`]+)`", TEXT)
    assert {line for line in [*lines, *inline] if not line.startswith("meddl ")} == set(NOT_RUN)
    makefile = text_of(ROOT / "Makefile")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in ("demo", "test"))


def test_it_is_read_in_two_minutes():
    words = re.sub(r"```.*?```|^\|.*$|\(http\S+\)", "", TEXT, flags=re.DOTALL | re.MULTILINE).split()
    assert len(words) < 1000
    assert len(re.findall(r"!\[", TEXT)) == 1


def test_the_help_of_every_module_leads_to_its_section():
    for module in ("MedDLSeg", "MedDLRegister", "MedDLSuperRes"):
        source = (ROOT / module / f"{module}.py").read_text(encoding="utf-8")
        linked = re.findall(r'SlicerMedDL#([\w-]+)"', source)
        assert linked and set(linked) <= anchors(README)


def test_no_figure_is_left_open():
    assert not re.findall(r"\{\{\w+\}\}", TEXT)


def test_all_packages_that_apply_installs_are_named():
    section = TEXT.partition("## Install in Slicer")[2].partition("\n## ")[0]
    lines = (resources_folder() / "requirements.txt").read_text(encoding="utf-8").splitlines()
    for name in ["torch", *(re.match(r"[\w-]+", line)[0] for line in lines if line and not line.startswith("#"))]:
        assert re.search(rf"\b{name}\b", section), name
