"""Types: the rooms that pyproject.toml lists pass mypy in full; everywhere else its errors only become fewer."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "Testing"))
import check_types  # noqa: E402

ALLOWED = check_types.Limits(("meddl", "meddl.core.*", "meddl.registration.register"), 2, 1)
OTHERS = """MedDLLib/meddl/worker/client.py:12: error: Bad  [misc]
MedDLLib/meddl/worker/client.py:13: note: See there
MedDLLib/meddl/registration/series.py:1: error: Bad: very bad  [arg-type]
"""


@pytest.mark.slow  # `make lint` runs the same before every test
def test_the_backend_passes_mypy_as_far_as_the_configuration_says():
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("needs mypy: `make setup` installs it, and `make lint` makes the same check")
    assert not check_types.judge(check_types.run_mypy(), check_types.count_ignores(), check_types.limits())


def test_what_is_promised_to_pass_in_full_is_there():
    strict = check_types.limits().strict
    for name in ("meddl", "meddl.core.device", "meddl.spatial.grid", "meddl.io.images", "meddl.measures.overlap",
                 "meddl.models.store.store", "meddl.results", "meddl.segmentation.segment",
                 "meddl.registration.register", "meddl.superres.super_resolve"):
        assert check_types.is_strict(name, strict), name
        assert (ROOT / "MedDLLib" / name.replace(".", "/")).with_suffix(".py").is_file() or name == "meddl"


def test_as_many_errors_as_stated_are_right():
    assert check_types.judge(OTHERS, 1, ALLOWED) == []


@pytest.mark.parametrize("line", ["core/device.py:3: error: Bad  [misc]", "__init__.py:3: error: Bad  [misc]",
                                  "registration/register.py:9: error: Bad  [misc]"])
def test_an_error_in_a_room_that_passes_in_full_is_wrong(line):
    wrong = check_types.judge(f"{OTHERS}MedDLLib/meddl/{line}\n", 1, ALLOWED)
    assert len(wrong) == 1 and line in wrong[0]


def test_one_more_error_or_comment_is_wrong_and_one_less_asks_for_the_lower_number():
    more = f"{OTHERS}MedDLLib/meddl/jobs/job.py:3: error: Bad  [misc]\n"
    assert "errors = 3" in check_types.judge(more, 1, ALLOWED)[0]
    assert "from 2 to 0" in check_types.judge("", 1, ALLOWED)[0]
    assert "ignores = 2" in check_types.judge(OTHERS, 2, ALLOWED)[0]
    assert "from 1 to 0" in check_types.judge(OTHERS, 0, ALLOWED)[0]


def test_comments_that_switch_mypy_off_are_counted(tmp_path):
    (tmp_path / "a.py").write_text("x = 1  # type: ignore\ny = 2  # type: ignore[misc]\nz = 3  # typed\n")
    assert check_types.count_ignores(tmp_path) == 2


def test_mypy_that_cannot_run_is_no_pass():
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("needs mypy")
    with pytest.raises(RuntimeError):
        check_types.run_mypy("--no-such-option")


def test_programs_that_use_the_package_see_its_types():
    assert (ROOT / "MedDLLib" / "meddl" / "py.typed").read_bytes() == b""
