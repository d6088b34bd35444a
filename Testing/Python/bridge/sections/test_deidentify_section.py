"""The section De-identify files, clicked through, and the verb from the console."""

import sys

import nibabel
import numpy as np
import pytest
import slicer
from bridge_scene import opened, process_events
from comparison_nodes import column, is_shown
from dicom_files import stack, write_enhanced
from places import REPOSITORY

import host
from meddl.core.errors import InputError
from meddl_slicer.runs import verbs
from meddl_slicer.sections.deidentification import verb

SECRET = "Zaphod"


@pytest.fixture
def files(clean, tmp_path):
    folder = tmp_path / SECRET
    folder.mkdir()
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.header["descrip"] = SECRET.encode()
    nibabel.save(image, folder / f"{SECRET}.nii")
    write_enhanced(folder / "a.dcm", stack(4), range(4))
    (folder / "letter.txt").write_text(SECRET)
    return folder


@pytest.fixture
def section(files):
    section = opened("MedDLSuperRes").widget.deidentify
    section.button.collapsed = False
    yield section
    section.button.collapsed = True


def choose(section, files, target):
    section._folders["source"].setCurrentPath(str(files))
    section._folders["target"].setCurrentPath(str(target))


def run(section):
    assert section.ui.applyButton.enabled, section.ui.stageLabel.text
    section.ui.applyButton.click()
    process_events(lambda: not section.run.running)


def test_a_folder_is_written_without_the_patient(section, files, tmp_path):
    assert "Choose the folder" in section.ui.stageLabel.text and not section.ui.applyButton.enabled
    choose(section, files, tmp_path / "out")
    run(section)
    made = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert made == ["case_0001.nii", "series_0001/0001.dcm"]
    assert SECRET.encode() not in (tmp_path / "out" / "case_0001.nii").read_bytes()
    assert "2 of 3 files" in section.readingLabel.text and is_shown(section.readingLabel)
    node = slicer.util.getNode("De-identified files")
    assert column(node, "New file")[0] == f"{made[0]}" and column(node, "File")[2] == "letter.txt"
    assert column(node, "Left out because")[2] and "letter.txt" in verbs.report_of(node)["warnings"][0]
    assert "not empty" in section.ui.stageLabel.text and not section.ui.applyButton.enabled
    choose(section, files, tmp_path / "named")
    section.namesCheckBox.click()
    run(section)
    assert (tmp_path / "named" / f"{SECRET}.nii").is_file()
    assert len(slicer.util.getNodesByClass("vtkMRMLTableNode")) == 1


def test_choices_come_back_and_go_with_the_scene(section, files, tmp_path):
    choose(section, files, tmp_path / "out")
    opened("MedDLSeg")
    again = opened("MedDLSuperRes").widget.deidentify
    assert again._folders["source"].currentPath == str(files) and again.ui.applyButton.enabled
    slicer.mrmlScene.Clear(0)
    assert not again.ui.applyButton.enabled


def test_the_console_does_the_same(files, tmp_path):
    host.load_module("MedDLSuperRes")
    logic = slicer.util.getModuleLogic("MedDLSuperRes")
    node = logic.deidentify(files, tmp_path / "out")
    assert verbs.report_of(node)["written"] == 2
    with pytest.raises(InputError, match="not an empty folder"):
        logic.deidentify(files, tmp_path / "out")


def test_without_the_package_for_dicom_it_is_offered_and_other_files_are_written(files, tmp_path, monkeypatch):
    host.load_module("MedDLSuperRes")
    monkeypatch.setattr(verb, "DICOM_PACKAGE", "no-such-package-of-meddl>=1")
    host.answer("Cancel")
    (files / "a.dcm").unlink()
    node = slicer.util.getModuleLogic("MedDLSuperRes").deidentify(files, tmp_path / "out")
    assert "no-such-package-of-meddl" in host.dialogs[-1].detailed_text and verbs.report_of(node)["written"] == 1


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is of Python 3.11")
def test_the_package_is_the_one_that_the_project_names():
    import tomllib

    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["deidentify"] == [verb.DICOM_PACKAGE]
