"""The tool that writes the file lists of the CMake files."""

from __future__ import annotations

import importlib.util

import pytest
from places import REPOSITORY as ROOT

_SPEC = importlib.util.spec_from_file_location("update_cmake_lists", ROOT / "Testing" / "update_cmake_lists.py")
tool = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tool)

TEXT = "set(FILES\n  # begin scripts\n  old.py\n  # end scripts\n  )\nset(OTHER keep.py)\n"


def test_only_what_stands_between_the_markers_changes():
    expected = TEXT.replace("  old.py\n", "  a.py\n  b/c.py\n")
    assert tool.with_list(TEXT, "scripts", ["a.py", "b/c.py"]) == expected


def test_an_empty_list_leaves_the_markers_for_the_next_time():
    emptied = tool.with_list(TEXT, "scripts", [])
    assert tool.with_list(emptied, "scripts", ["old.py"]) == TEXT


def test_missing_markers_are_an_error():
    with pytest.raises(ValueError, match="resources"):
        tool.with_list(TEXT, "resources", [])


@pytest.mark.parametrize("name", ["two words.py", "semi;colon.py", "a#b.py"])
def test_a_name_that_cmake_would_split_is_refused(name):
    with pytest.raises(ValueError, match="quoting"):
        tool.with_list(TEXT, "scripts", [name])


def test_caches_hidden_and_unfinished_files_are_not_shipped(tmp_path):
    for name in ("b.py", "a/x.json", "__pycache__/b.pyc", ".hidden/y.py", "a/.z", "w.partial"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in tool.shipped_files(tmp_path)]
    assert found == ["a/x.json", "b.py"]


def test_a_folder_that_is_absent_ships_nothing(tmp_path):
    assert tool.shipped_files(tmp_path / "absent") == []


def test_a_new_file_makes_the_lists_stale(tmp_path):
    (tmp_path / "MedDLLib" / "meddl").mkdir(parents=True)
    (tmp_path / "MedDLLib" / "meddl" / "new.py").touch()
    (tmp_path / "MedDLLib" / "meddl" / "table.json").touch()
    lists = tool.library_lists(tmp_path)
    assert lists == {"scripts": ["meddl/new.py"], "resources": ["meddl/table.json"], "shared resources": []}
