"""What Slicer builds and lists: CMake files, Extensions Index entry, icons, panels."""

from __future__ import annotations

import ast
import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("MedDLSeg", "MedDLRegister", "MedDLSuperRes")
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
def installed(tmp_path_factory) -> Path:
    """MedDL configured, built and installed by CMake against the stand-in for Slicer; the folder of modules."""
    if not (shutil.which("cmake") and shutil.which("cc") and shutil.which("c++")):
        pytest.skip("needs cmake and a C and C++ compiler")
    build, prefix = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("installed")
    stand_in = ROOT / "Testing" / "CMake"
    for step in (
        ["-S", str(ROOT), "-B", str(build), f"-DSlicer_DIR={stand_in}", f"-DCMAKE_INSTALL_PREFIX={prefix}"],
        ["--build", str(build)],
        ["--install", str(build)],
    ):
        done = subprocess.run(["cmake", *step], capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return prefix / "lib" / "qt-scripted-modules"


def test_the_cmake_files_list_every_file():
    tool = ROOT / "Testing" / "update_cmake_lists.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}Run `make cmake-lists`."


def test_cmake_installs_all_that_the_source_tree_has(installed):
    packages = [ROOT / "MedDLLib" / name for name in ("meddl", "meddl_slicer")]
    expected = {
        path.relative_to(ROOT / "MedDLLib").as_posix()
        for package in packages for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for folder in ("Models", "Samples"):
        below = (ROOT / "Resources" / folder).rglob("*")
        expected |= {path.relative_to(ROOT).as_posix() for path in below if path.is_file()}
    for module in MODULES:
        expected |= {f"{module}.py", f"Resources/UI/{module}.ui", f"Resources/Icons/{module}.png"}
    present = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    assert expected <= present, sorted(expected - present)


def test_the_installed_package_finds_the_resources_beside_it(installed):
    code = "import meddl.paths as p; print(p.__file__); print(p.resources_folder())"
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(installed)!r}); {code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    source, resources = done.stdout.split()
    assert Path(source).resolve() == (installed / "meddl" / "paths.py").resolve()
    assert Path(resources).resolve() == (installed / "Resources").resolve()


def test_names_in_the_flat_folder_are_unlikely_to_meet_another_extensions(installed):
    top = {path.stem for path in installed.iterdir()} - {"Resources"}
    assert top == {"meddl", "meddl_slicer", *MODULES}


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
