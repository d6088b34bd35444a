"""Files, functions and parameter lists stay small; what is larger stands in one list, with its reason."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

from places import REPOSITORY as ROOT

MOST_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS = 400, 60, 8
FOLDERS = ("MedDLLib", "MedDLSeg", "MedDLRegister", "MedDLSuperRes", "Testing", "Resources", "docs", "examples")

VERB = "a verb that scripts call: all but the first few parameters have defaults and are given by name"
SAMPLE_DATA = "Testing/Python/host/slicer_modules/SampleData/SampleData.py"
SLICERS = "imitates a function of Slicer, whose parameters these are"
# Functions with more parameters or lines, by file and name.
EXCEPTIONS = {
    "MedDLLib/meddl/registration/register.py:register": VERB,
    "MedDLLib/meddl/jobs/segment_many.py:segment_many": VERB,
    "MedDLLib/meddl/jobs/register_many.py:register_many": VERB,
    "MedDLLib/meddl/jobs/super_resolve_many.py:super_resolve_many": VERB,
    "MedDLLib/meddl/active_learning/rest.py:segment_rest": VERB,
    "MedDLLib/meddl/explanation/explain.py:explain": VERB,
    "MedDLLib/meddl/longitudinal/change.py:change": VERB,
    "MedDLLib/meddl_slicer/runs/verbs.py:segment_node": VERB,
    "MedDLLib/meddl_slicer/runs/verbs.py:register_nodes": VERB,
    "MedDLLib/meddl_slicer/runs/verbs.py:register_sequence": VERB,
    "MedDLLib/meddl_slicer/runs/verbs.py:super_resolve_node": VERB,
    "MedDLLib/meddl_slicer/runs/many_volumes.py:segment_branch": VERB,
    "MedDLLib/meddl_slicer/runs/many_registrations.py:register_branch": VERB,
    "MedDLLib/meddl_slicer/runs/many_volumes.py:segment_sequence": VERB,
    "MedDLLib/meddl_slicer/sections/change/verb.py:change_nodes": VERB,
    "MedDLLib/meddl_slicer/sections/comparison/verb.py:compare_nodes": VERB,
    "MedDLLib/meddl_slicer/sections/preparation/verb.py:prepare_node": VERB,
    "MedDLLib/meddl_slicer/sections/training/verb.py:train_model": VERB,
    "MedDLLib/meddl_slicer/sections/classification/verb.py:train_classifier_model": VERB,
    "MedDLSeg/MedDLSeg.py:MedDLSegLogic.segment": VERB,
    "MedDLRegister/MedDLRegister.py:MedDLRegisterLogic.register": VERB,
    "MedDLSuperRes/MedDLSuperRes.py:MedDLSuperResLogic.superResolve": VERB,
    "MedDLLib/meddl/networks/architectures/nnunet.py:_UNet.__init__":
        "what nnU-Net's plans say of a network; model cards name the arguments so",
    "Testing/Python/support/nnunet_folder.py:write_nnunet":
        "what nnU-Net's plans say; each test names the one thing that differs",
    "Testing/Python/host/render.py:slice_views": "what a picture shows: all but the path have defaults",
    "Testing/Python/host/slicer_files/packaging.py:pip_install": SLICERS,
    f"{SAMPLE_DATA}:SampleDataSource.__init__": SLICERS,
    f"{SAMPLE_DATA}:SampleDataLogic.registerCustomSampleDataSource": SLICERS,
    f"{SAMPLE_DATA}:SampleDataLogic.downloadFromURL": SLICERS,
    "Testing/Python/bridge/source/test_packaging_differential.py:test_installing_what_is_missing":
        "a parameter for each choice that the two functions are compared over",
    "Testing/Benchmarks/peers/nnunet_model_peer.py:build": "one nnU-Net data set and plan, written out",
}


@functools.cache
def sources() -> dict[str, str]:
    """Every Python file of the project with its text, by its path."""
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files}


def functions(tree: ast.AST, owner: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function with its name, behind that of its class."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{owner}{node.name}", node
            yield from functions(node, owner)
        else:
            yield from functions(node, owner)


def parameter_count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Named parameters, without the object, the class or autograd's context."""
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"], ["ctx"]))


def line_count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines without the docstring."""
    begin = function.body[0].end_lineno if ast.get_docstring(function) is not None else function.lineno - 1
    return function.end_lineno - begin


def large_functions() -> dict[str, str]:
    """What is too large of which function."""
    found = {}
    for path, text in sources().items():
        for name, function in functions(ast.parse(text)):
            if (parameters := parameter_count(function)) > MOST_PARAMETERS:
                found[f"{path}:{name}"] = f"{parameters} parameters"
            if (lines := line_count(function)) > MOST_FUNCTION_LINES:
                found[f"{path}:{name}"] = f"{lines} lines"
    return found


def test_no_file_has_more_than_400_lines():
    assert not {path: lines for path, text in sources().items() if (lines := len(text.splitlines())) > MOST_LINES}


def test_a_function_with_many_parameters_or_lines_stands_in_the_list_with_its_reason():
    large = large_functions()
    assert not {name: size for name, size in large.items() if name not in EXCEPTIONS}
    assert not set(EXCEPTIONS) - set(large), "these need no exception any more"


def test_parameters_and_lines_are_counted_as_one_reads_them():
    method, nested = dict(functions(ast.parse('''
class A:
    def f(self, a, /, b, *c, d=1, **e):
        """Docstring
        of two lines."""
        def g(x):
            return x
        return g
'''))).values()
    assert (parameter_count(method), line_count(method)) == (3, 3)
    assert (parameter_count(nested), line_count(nested)) == (1, 2)


def test_every_python_file_is_looked_at():
    assert {"MedDLSeg/MedDLSeg.py", "MedDLLib/meddl/registration/register.py", "Testing/check_types.py",
            "Testing/Benchmarks/register_cases.py"} <= set(sources())
    top = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert not {name for name in top if not name.startswith(".")} - set(FOLDERS) - {"build"}
