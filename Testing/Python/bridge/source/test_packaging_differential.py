"""Python packages: the stand-in answers, asks and installs as Slicer's own file does."""

import inspect
from pathlib import Path

import pytest
import slicer
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from side_by_side import both, outcome

import host

SETTINGS = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
REQUIREMENTS = (
    "numpy", "numpy>=1.20", "numpy>=99", "numpy<99,>=1", "scipy==1.17.1", "not-there", "not-there; sys_platform == 'x'",
    "numpy; python_version >= '3'", "pretended>=1.0", "pretended>=2.5", "pretended==2.0rc1", "Local_Build==2.8.0",
    "local-build==2.8.0+cu128", "local.build>=2.9", "with-extras", "with-extras[met]", "with-extras[unmet]",
    "with-extras[met,unmet]", "with-extras[circle]", "with-extras[unknown]", "hidden>=0",
)
TEXTS = st.sampled_from(REQUIREMENTS)
WANTED = st.one_of(
    TEXTS, TEXTS.map(Requirement), st.lists(TEXTS, max_size=4), st.lists(TEXTS.map(Requirement), max_size=4),
    st.lists(TEXTS, max_size=3).map(" ".join),
    st.sampled_from(["", "==", "numpy ==", "a b c", "numpy[", None, 3, ("numpy",)]),
)
ARGUMENTS = st.one_of(TEXTS, st.lists(TEXTS, max_size=3), st.sampled_from(["", "a 'b c' --pre", ("numpy",), None, 4]))


@pytest.fixture(autouse=True)
def same_packages():
    """The packages of REQUIREMENTS."""
    prepare()
    yield
    host.clear_scene()


def prepare(testing=False, succeed=False, answers=()):
    """Begin anew, with the same packages, answers and outcome of installations."""
    host.clear_scene()
    host.hide_package("scipy", "hidden")
    host.pretend_package("pretended", "2.0rc1")
    host.pretend_package("local-build", "2.8.0+cu128")
    host.pretend_package("with-extras", "1.0", (
        "numpy", "numpy>=1; extra == 'met'", "not-there; extra == 'unmet'", "with-extras[met]; extra == 'circle'",
        "not-there; sys_platform == 'never' and extra == 'met'"))
    slicer.app.set_testing_enabled(testing)
    if succeed:
        host.python_runs.succeed()
    host.answer(*answers)


def assert_same(name, *args, before=prepare, **options):
    """Both do the same; returns what: the outcome, the programs that were started and the dialogs that were shown."""
    found = []
    for module in both("packaging.py"):
        before()
        kind, value = outcome(getattr(module, name), *args, **options)
        host.process_events()
        host.wait_until(lambda module=module: not module.isPipInstallInProgress())
        if isinstance(value, list):
            value = [str(one) for one in value]
        dialogs = [(one.kind, one.title, one.detailed_text if "Install " in one.title else "", one.answer)
                   for one in host.dialogs]
        found.append(((kind, value), list(host.python_runs.runs), dialogs))
    assert found[0] == found[1]
    return found[0]


def test_each_function_of_the_stand_in_takes_no_more_than_the_real_one():
    real, stand_in = both("packaging.py")
    for name, function in inspect.getmembers(stand_in, inspect.isfunction):
        if name.startswith("_") or function.__module__ != stand_in.__name__:
            continue
        theirs, ours = (inspect.signature(getattr(module, name)).parameters for module in (real, stand_in))
        shared = [parameter for parameter in theirs if parameter in ours]
        assert list(ours) == shared, name
        assert [ours[key].default for key in shared] == [theirs[key].default for key in shared], name


def test_the_stand_in_has_every_function_that_the_real_one_documents():
    real, stand_in = both("packaging.py")
    theirs = {name for name, function in inspect.getmembers(real, inspect.isfunction)
              if not name.startswith("_") and function.__module__ == real.__name__}
    assert {name for name in theirs if not hasattr(stand_in, name)} == set()


@SETTINGS
@given(lines=st.lists(TEXTS | st.sampled_from(["", "  ", "# note", " -r other.txt", "--index-url x", "a b", "*"])))
def test_requirement_files(tmp_path, lines):
    path = tmp_path / "requirements.txt"
    path.write_text("\n".join(lines))
    assert_same("load_requirements", path)
    assert_same("load_requirements", str(path))


@pytest.mark.parametrize("text", [
    "", "[project]", "[project]\ndependencies = []", "[project]\ndependencies = ['numpy>=1', 'scipy']", "[tool]\na = 1",
    "[project]\ndependencies = ['a b']", "not toml"])
def test_project_files(tmp_path, text):
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    assert_same("load_pyproject_dependencies", path)


def test_files_that_are_not_there(tmp_path):
    for name in ("load_requirements", "load_pyproject_dependencies"):
        assert assert_same(name, tmp_path / "none")[0] == ("error", FileNotFoundError)


@SETTINGS
@given(wanted=WANTED)
def test_what_counts_as_installed(wanted):
    assert_same("pip_check", wanted)


@pytest.mark.parametrize("text", REQUIREMENTS)
def test_each_requirement(text):
    assert assert_same("pip_check", text)[0] in (("value", True), ("value", False))


@SETTINGS
@given(wanted=WANTED, testing=st.booleans(), succeed=st.booleans(), answer=st.sampled_from(["Ok", "Cancel"]),
       ask=st.booleans(), restart=st.booleans(), skip=st.booleans(), show=st.booleans(),
       requester=st.sampled_from([None, "MedDL"]), constraints=st.sampled_from([None, "c.txt", Path("c.txt")]))
def test_installing_what_is_missing(wanted, testing, succeed, answer, ask, restart, skip, show, requester,
                                    constraints):
    assert_same("pip_ensure", wanted, constraints=constraints, prompt_install=ask, prompt_restart=restart,
                requester=requester, skip_in_testing=skip, show_progress=show,
                before=lambda: prepare(testing, succeed, [answer] * ask))


def test_a_package_that_is_in_memory_already_asks_for_a_restart():
    import scipy  # noqa: F401

    _, runs, dialogs = assert_same("pip_ensure", ["scipy"], requester="MedDL",
                                   before=lambda: prepare(succeed=True, answers=["Ok", "No"]))
    assert [dialog[1] for dialog in dialogs] == ["MedDL - Install Python Packages", "MedDL - Restart Recommended"]
    assert len(runs) == 1


@SETTINGS
@given(wanted=ARGUMENTS, testing=st.booleans(), succeed=st.booleans(), blocking=st.booleans(), show=st.booleans(),
       without=st.one_of(st.none(), ARGUMENTS), constraints=st.sampled_from([None, "c.txt"]))
def test_installing(wanted, testing, succeed, blocking, show, without, constraints):
    if without is not None:  # what is wrong with the second step comes as an error of a timer, which nobody hears
        assume(isinstance(wanted, (str, list)))
    assert_same("pip_install", wanted, constraints, no_deps_requirements=without, blocking=blocking,
                show_progress=show, requester="MedDL", before=lambda: prepare(testing, succeed))


@pytest.mark.parametrize("options", [{"blocking": False}, {"no_deps_requirements": "numpy"}])
def test_leaving_packages_out_goes_with_few_options(options):
    assert assert_same("pip_install", "numpy", skip_packages=["x"], **options)[0] == ("error", ValueError)


@SETTINGS
@given(wanted=ARGUMENTS, blocking=st.booleans())
def test_uninstalling(wanted, blocking):
    assert_same("pip_uninstall", wanted, blocking=blocking)


def test_one_installation_beside_at_a_time():
    for module in both("packaging.py"):
        prepare()
        codes = []
        module.pip_install("numpy", blocking=False, completedCallback=codes.append)
        assert module.isPipInstallInProgress()
        with pytest.raises(RuntimeError):
            module.pip_install("scipy", blocking=False)
        host.wait_until(lambda codes=codes: codes)
        assert codes == [0]
        assert not module.isPipInstallInProgress()
