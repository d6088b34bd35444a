"""What Slicer builds and lists: CMake files, Extensions Index entry, icons, panels."""

from __future__ import annotations

import ast
import json
import re
import struct
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from extension_build import MODULES, STAND_IN, ExtensionBuild, files_below, files_to_ship, tool
from places import REPOSITORY as ROOT

RAW = "https://raw.githubusercontent.com/MedDL/SlicerMedDL/main/"

# The rules of version 1.0.2 for an entry of the Extensions Index.
INDEX_SCHEMA = {
    "type": "object",
    "required": ["$schema", "category", "scm_url"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "pattern": r"slicer-extension-catalog-entry-schema-v1\.0\.2\.json#?$"},
        "category": {"type": "string"},
        "scm_url": {"type": "string", "pattern": r"^(https|git)://"},
        "scm_revision": {"type": "string"},
        "scm_type": {"enum": ["git", "local"]},
        "build_dependencies": {"type": "array", "items": {"type": "string"}},
        "build_subdirectory": {"type": "string"},
        "dicom_support_rule": {"type": "string"},
        "enabled": {"type": "boolean"},
        "tier": {"type": "integer", "minimum": 1, "maximum": 5},
    },
}
# Widgets of CTK and Slicer that Slicer's own interface files use and that exist for Qt 5 and Qt 6.
KNOWN_WIDGETS = {
    "ctkCheckableComboBox", "ctkCollapsibleButton", "ctkCollapsibleGroupBox", "ctkColorPickerButton", "ctkComboBox",
    "ctkCoordinatesWidget", "ctkDoubleRangeSlider", "ctkDoubleSlider", "ctkDoubleSpinBox", "ctkExpandButton",
    "ctkFittedTextBrowser", "ctkMenuButton", "ctkPathLineEdit", "ctkPushButton", "ctkRangeWidget",
    "ctkSearchBox", "ctkSliderWidget", "ctkDirectoryButton",
    "qMRMLCheckableNodeComboBox", "qMRMLCollapsibleButton", "qMRMLNodeComboBox",
    "qMRMLSegmentSelectorWidget", "qMRMLSegmentsTableView", "qMRMLSegmentationShow3DButton", "qMRMLSliderWidget",
    "qMRMLSpinBox", "qMRMLSubjectHierarchyComboBox", "qMRMLSubjectHierarchyTreeView", "qMRMLTableView",
    "qMRMLTransformSliders", "qMRMLMatrixWidget", "qMRMLWidget", "qSlicerMarkupsPlaceWidget", "qSlicerWidget",
}  # fmt: skip


def metadata() -> dict[str, str]:
    """The EXTENSION_ variables of the top CMake file, as the Extensions Index reads them."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    return dict(re.findall(r'^set\(EXTENSION_(\w+) "([^"]+)"\)$', text, re.MULTILINE))


def index_entry() -> dict:
    """Resources/MedDL.json."""
    return json.loads((ROOT / "Resources" / "MedDL.json").read_text(encoding="utf-8"))


def panel(module: str) -> Path:
    """The module's interface file."""
    return ROOT / module / "Resources" / "UI" / f"{module}.ui"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> ExtensionBuild:
    """MedDL against the stand-in for Slicer."""
    return ExtensionBuild.make(tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("installed"), STAND_IN)


@pytest.fixture(scope="module")
def installed(built) -> Path:
    """The installed folder of scripted modules."""
    return built.modules


def test_the_cmake_files_list_every_file():
    tool = ROOT / "Testing" / "update_cmake_lists.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}Run `make cmake-lists`."


def test_cmake_installs_what_git_tracks_and_nothing_else(installed):
    assert files_below(installed) == set(files_to_ship())


def test_every_module_has_its_three_tests(built):
    expected = [
        name for module in MODULES
        for name in (f"py_nomainwindow_qSlicer{module}ModuleGenericTest", f"py_{module}", f"py_{module}Test")
    ]
    assert sorted(test["name"] for test in built.tests()) == sorted(expected)


def test_the_installed_package_finds_the_resources_beside_it(installed):
    code = "import meddl.core.paths as p; print(p.__file__); print(p.resources_folder())"
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(installed)!r}); {code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    source, resources = done.stdout.split()
    assert Path(source).resolve() == (installed / "meddl" / "core" / "paths.py").resolve()
    assert Path(resources).resolve() == (installed / "Resources" / "MedDL").resolve()


def test_no_name_in_the_folders_that_extensions_share_can_meet_another_extensions(installed):
    ours = re.compile(r"(Resources/((Icons|UI)/)?)?(MedDL|meddl)")
    assert not [name for name in files_below(installed) if not ours.match(name)]


def test_every_script_beside_the_modules_is_a_module(installed):
    """Slicer takes each for one."""
    assert {path.stem for path in installed.glob("*.py*")} == set(MODULES)


@pytest.mark.parametrize("call, reason", [
    ("slicerMacroBuildScriptedModule(NAME A SCRIPTS absent.py)", "not a file"),
    ("slicerMacroBuildScriptedModule(NAME A SCRIPTS a.py RESOURCES folder)", "not a file"),
    ("slicerMacroBuildScriptedModule(NAME A SCRIPTS a.py a.py)", "Two files"),
    ("slicerMacroBuildScriptedModule(TYPO a.py NAME A SCRIPTS a.py)", "Unknown keywords"),
    ("slicerMacroBuildScriptedModule(NAME A)", "mandatory"),
    ("slicer_add_python_unittest(SCRIPT absent.py)", "does not exist"),
    ("slicer_add_python_unittest(SCRIPT folder/b.py)", "current one or absolute"),
    ("slicer_add_python_unittest(SCRIPT a.py)\nslicer_add_python_unittest(SCRIPT a.py)", "Two tests"),
])  # fmt: skip
def test_the_stand_in_refuses_what_slicer_would_not_build_or_not_find(tmp_path, call, reason):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.py").touch()
    (tmp_path / "folder" / "b.py").touch()
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(Try LANGUAGES NONE)\nfind_package(Slicer REQUIRED)\n"
        f"include(${{Slicer_USE_FILE}})\n{call}\n", encoding="utf-8")
    done = subprocess.run(
        [tool("cmake"), "-S", str(tmp_path), "-B", str(tmp_path / "build"), f"-DSlicer_DIR={STAND_IN}"],
        capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert reason in " ".join(done.stderr.split())


def test_the_extension_has_all_the_metadata_of_the_index():
    wanted = {"HOMEPAGE", "CATEGORY", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"}
    assert wanted <= metadata().keys()
    assert metadata()["DEPENDS"] == "PyTorch"
    assert metadata()["DESCRIPTION"].count(". ") <= 1


def test_icon_and_screenshot_urls_point_at_files_of_this_repository():
    urls = [metadata()["ICONURL"], *metadata()["SCREENSHOTURLS"].split()]
    assert len(urls) >= 2
    for url in urls:
        assert url.startswith(RAW)
        assert (ROOT / url.removeprefix(RAW)).is_file(), url


def test_the_index_entry_obeys_the_schema():
    jsonschema.validate(index_entry(), INDEX_SCHEMA)


def test_the_index_schema_refuses_what_is_not_in_it():
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(index_entry() | {"homepage": "https://example.org"}, INDEX_SCHEMA)


def test_the_index_entry_agrees_with_the_cmake_file():
    entry = index_entry()
    project = re.search(r"project\((\w+)\)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")).group(1)
    assert (ROOT / "Resources" / f"{project}.json").is_file()
    assert entry["build_dependencies"] == metadata()["DEPENDS"].split()
    assert entry["category"] == metadata()["CATEGORY"]
    assert entry["scm_url"].removesuffix(".git") == metadata()["HOMEPAGE"]
    repository = metadata()["HOMEPAGE"].rsplit("/", 1)[1]
    assert repository == f"Slicer{project}" and not project.startswith("Slicer")


@pytest.mark.parametrize(
    "name", ["Resources/Icons/MedDL.png", *(f"{m}/Resources/Icons/{m}.png" for m in MODULES)]
)
def test_icons_are_128_pixels_square_with_transparency(name):
    head = (ROOT / name).read_bytes()[:33]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, depth, color_type = struct.unpack(">IIBB", head[16:26])
    assert (width, height, depth, color_type) == (128, 128, 8, 6)


def test_the_icons_differ_from_each_other():
    icons = [ROOT / "Resources/Icons/MedDL.png", *(ROOT / f"{m}/Resources/Icons/{m}.png" for m in MODULES)]
    assert len({path.read_bytes() for path in icons}) == len(icons)


@pytest.mark.parametrize("module", MODULES)
def test_a_panel_uses_only_widgets_that_slicer_has(module):
    tree = ElementTree.parse(panel(module))
    used = {node.get("class") for node in tree.iter("widget")}
    declared = {node.findtext("class") for node in tree.iter("customwidget")}
    custom = {name for name in used if not re.match(r"Q[A-Z]", name)}
    assert custom <= declared, "used but not declared"
    assert declared <= KNOWN_WIDGETS, declared - KNOWN_WIDGETS
    assert tree.getroot().find("widget").get("class") == "qMRMLWidget"


@pytest.mark.parametrize("module", MODULES)
def test_names_of_widgets_in_a_panel_are_unique(module):
    names = [node.get("name") for node in ElementTree.parse(panel(module)).iter("widget")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("module", MODULES)
def test_a_panel_is_tied_only_to_parameters_that_exist(module):
    tree = ElementTree.parse(panel(module))
    tied = {
        node.findtext("string")
        for node in tree.iter("property") if node.get("name") == "SlicerParameterName"
    }
    source = ast.parse((ROOT / module / f"{module}.py").read_text(encoding="utf-8"))
    parameters = {
        item.target.id
        for node in source.body if isinstance(node, ast.ClassDef) and node.name == f"{module}ParameterNode"
        for item in node.body if isinstance(item, ast.AnnAssign)
    }
    assert tied and parameters
    assert {name.split(".")[0] for name in tied} <= parameters


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_the_classes_that_slicer_looks_for(module):
    source = ast.parse((ROOT / module / f"{module}.py").read_text(encoding="utf-8"))
    classes = {node.name for node in source.body if isinstance(node, ast.ClassDef)}
    assert {module, f"{module}Widget", f"{module}Logic", f"{module}Test"} <= classes
