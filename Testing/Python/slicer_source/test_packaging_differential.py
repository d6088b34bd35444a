"""The stand-in of slicer.packaging and Slicer's own file, given the same, do the same.

Needs Slicer's source: SLICER_SOURCE=FOLDER, a work tree of it.
"""

import importlib.metadata
import importlib.util
import inspect
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import host

host.install()

import slicer  # noqa: E402
import slicer.packaging  # noqa: E402
from packaging.requirements import Requirement  # noqa: E402

SOURCE = os.environ.get("SLICER_SOURCE")
pytestmark = pytest.mark.skipif(not SOURCE, reason="set SLICER_SOURCE to a work tree of Slicer's source")

STAND_IN = host.repository / "Testing" / "Python" / "host" / "slicer_packaging.py"
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
    st.lists(TEXTS, max_size=3).map(" ".join), st.sampled_from(["", "==", "numpy ==", "a b c", "numpy[", None, 3, ("numpy",)]),
)
ARGUMENTS = st.one_of(TEXTS, st.lists(TEXTS, max_size=3), st.sampled_from(["", "a 'b c' --pre", ("numpy",), None, 4]))


def load(path, name):
    """A file of slicer.packaging, as a module of its own."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def both():
    """The stand-in and the real file."""
    return (load(STAND_IN, "stand_in_packaging"),
            load(Path(SOURCE) / "Base" / "Python" / "slicer" / "packaging.py", "real_packaging"))


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


def outcome(function, *args, **options):
    """What a call gives or which error it ends with, the programs that it starts and the dialogs that it shows."""
    try:
        result = function(*args, **options)
        result = [str(one) for one in result] if isinstance(result, list) else result
    except Exception as error:  # noqa: BLE001  whatever it is, the other one has to raise it too
        result = type(error)
    finally:
        host.process_events(0.01)
    dialogs = [(one.kind, one.title, one.detailed_text if "Install " in one.title else "", one.answer)
               for one in host.dialogs]
    return result, list(host.python_runs.runs), dialogs


def assert_same(both, name, *args, before=prepare, **options):
    """Both do the same; returns what."""
    found = []
    for module in both:
        before()
        found.append(outcome(getattr(module, name), *args, **options))
    assert found[0] == found[1]
    return found[0]


def test_each_function_of_the_stand_in_takes_no_more_than_the_real_one(both):
    stand_in, real = both
    for name, function in inspect.getmembers(stand_in, inspect.isfunction):
        if name.startswith("_") or function.__module__ != stand_in.__name__:
            continue
        ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in both)
        shared = [parameter for parameter in theirs if parameter in ours]
        assert list(ours) == shared, name
        assert [ours[key].default for key in shared] == [theirs[key].default for key in shared], name


def test_the_stand_in_has_every_function_that_the_real_one_documents(both):
    stand_in, real = both
    theirs = {name for name, function in inspect.getmembers(real, inspect.isfunction)
              if not name.startswith("_") and function.__module__ == real.__name__}
    assert {name for name in theirs if not hasattr(stand_in, name)} == set()


@SETTINGS
@given(lines=st.lists(st.one_of(TEXTS, st.sampled_from(["", "  ", "# note", " -r other.txt", "--index-url x", "a b", "*"]))))
def test_requirement_files(both, tmp_path, lines):
    path = tmp_path / "requirements.txt"
    path.write_text("\n".join(lines))
    assert_same(both, "load_requirements", path)
    assert_same(both, "load_requirements", str(path))


@pytest.mark.parametrize("text", [
    "", "[project]", "[project]\ndependencies = []", "[project]\ndependencies = ['numpy>=1', 'scipy']", "[tool]\na = 1",
    "[project]\ndependencies = ['a b']", "not toml"])
def test_project_files(both, tmp_path, text):
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    assert_same(both, "load_pyproject_dependencies", path)


def test_files_that_are_not_there(both, tmp_path):
    for name in ("load_requirements", "load_pyproject_dependencies"):
        assert assert_same(both, name, tmp_path / "none")[0] is FileNotFoundError


@SETTINGS
@given(wanted=WANTED)
def test_what_counts_as_installed(both, wanted):
    assert_same(both, "pip_check", wanted)


@pytest.mark.parametrize("text", REQUIREMENTS)
def test_each_requirement(both, text):
    result, *_ = assert_same(both, "pip_check", text)
    assert isinstance(result, bool)


@SETTINGS
@given(wanted=WANTED, testing=st.booleans(), succeed=st.booleans(), answer=st.sampled_from(["Ok", "Cancel"]),
       ask=st.booleans(), restart=st.booleans(), skip=st.booleans(), show=st.booleans(),
       requester=st.sampled_from([None, "MedDL"]), constraints=st.sampled_from([None, "c.txt", Path("c.txt")]))
def test_installing_what_is_missing(both, wanted, testing, succeed, answer, ask, restart, skip, show, requester,
                                    constraints):
    assert_same(both, "pip_ensure", wanted, constraints=constraints, prompt_install=ask, prompt_restart=restart,
                requester=requester, skip_in_testing=skip, show_progress=show,
                before=lambda: prepare(testing, succeed, [answer] * ask))


def test_a_package_that_is_in_memory_already_asks_for_a_restart(both):
    import scipy  # noqa: F401

    _, runs, dialogs = assert_same(both, "pip_ensure", ["scipy"], requester="MedDL",
                                   before=lambda: prepare(succeed=True, answers=["Ok", "No"]))
    assert [dialog[1] for dialog in dialogs] == ["MedDL - Install Python Packages", "MedDL - Restart Recommended"]
    assert len(runs) == 1


@SETTINGS
@given(wanted=ARGUMENTS, testing=st.booleans(), succeed=st.booleans(), blocking=st.booleans(), show=st.booleans(),
       without=st.one_of(st.none(), ARGUMENTS), constraints=st.sampled_from([None, "c.txt"]))
def test_installing(both, wanted, testing, succeed, blocking, show, without, constraints):
    if without is not None:  # what is wrong with the second step comes as an error of a timer, which nobody hears
        assume(isinstance(wanted, (str, list)))
    assert_same(both, "pip_install", wanted, constraints, no_deps_requirements=without, blocking=blocking,
                show_progress=show, requester="MedDL", before=lambda: prepare(testing, succeed))
    assert [module.isPipInstallInProgress() for module in both] == [False, False]


@pytest.mark.parametrize("options", [{"blocking": False}, {"no_deps_requirements": "numpy"}])
def test_leaving_packages_out_goes_with_few_options(both, options):
    assert assert_same(both, "pip_install", "numpy", skip_packages=["x"], **options)[0] is ValueError


@SETTINGS
@given(wanted=ARGUMENTS, blocking=st.booleans())
def test_uninstalling(both, wanted, blocking):
    assert_same(both, "pip_uninstall", wanted, blocking=blocking)


def test_one_installation_beside_at_a_time(both):
    for module in both:
        prepare()
        codes = []
        module.pip_install("numpy", blocking=False, completedCallback=codes.append)
        assert module.isPipInstallInProgress()
        with pytest.raises(RuntimeError):
            module.pip_install("scipy", blocking=False)
        host.wait_until(lambda codes=codes: codes)
        assert codes == [0]
        assert not module.isPipInstallInProgress()


def test_nobody_imports_the_real_file_at_startup():
    """Whether `slicer.packaging` has to be imported by whoever uses it."""
    base = Path(SOURCE) / "Base" / "Python"
    importing = [path for path in base.rglob("__init__.py") if "import packaging" in path.read_text()]
    assert not importing
    assert importlib.metadata.version("packaging")
