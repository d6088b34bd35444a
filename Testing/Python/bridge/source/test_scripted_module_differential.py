"""Scripted modules: the stand-in's base classes do what Slicer's own do."""

import sys
import types
import unittest

import pytest
import qt
import slicer
from side_by_side import both, outcome

SCRIPT = "ScriptedLoadableModule.py"


class Parent:
    """What a scripted module sets properties on."""

    def __init__(self, path):
        self.path = str(path)


@pytest.fixture(params=["svg", "png", "both", "none"])
def folder(request, tmp_path):
    """A module's folder with an icon of either kind, both or none."""
    icons = tmp_path / "Sample" / "Resources" / "Icons"
    icons.mkdir(parents=True)
    for ending in {"both": ("svg", "png"), "none": ()}.get(request.param, (request.param,)):
        (icons / f"Sample.{ending}").write_bytes(b"")
    return tmp_path / "Sample"


def test_a_module_describes_itself_alike(folder):
    seen = []
    for script in both(SCRIPT):
        parent = Parent(folder / "Sample.py")
        module = type("Sample", (script.ScriptedLoadableModule,), {"__module__": "nowhere_to_be_found"})(parent)
        filled = {name: (type(value), bool(value)) for name, value in vars(parent).items()}
        links = (module.getDefaultModuleDocumentationLink(), module.getDefaultModuleDocumentationLink("page.html"))
        urls = [link.split('href="')[1].split('"')[0] for link in links]
        seen.append((filled, module.moduleName, module.resourcePath("a/b.txt"), urls, outcome(module.runTest),
                     slicer.selfTests["Sample"] == module.runTest))
    assert seen[0] == seen[1]


def test_parameter_nodes_are_made_and_found_alike():
    seen = []
    for script in both(SCRIPT):
        slicer.mrmlScene.Clear(0)
        logic = type("SampleLogic", (script.ScriptedLoadableModuleLogic,), {})()
        node = logic.getParameterNode()
        node.SetAttribute("ModuleName", None)
        again = logic.getParameterNode()
        several = type("SampleLogic", (script.ScriptedLoadableModuleLogic,), {})()
        several.isSingletonParameterNode = False
        other = several.createParameterNode()
        slicer.mrmlScene.AddNode(other)
        seen.append((logic.moduleName, again is node, node.GetSingletonTag(), node.GetName(), other.GetSingletonTag(),
                     node.GetAttribute("ModuleName"), len(several.getAllParameterNodes()),
                     several.getParameterNode() is node))
    assert seen[0] == seen[1]


def case_class(script, calls, failing=None, **members):
    """A module's test case that writes down what is called; the test `failing` raises what it is given."""

    def told(name):
        def call(self):
            calls.append(name)
            if failing is not None and failing[0] == name:
                raise failing[1]
        return call

    names = ("setUp", "tearDown", "test_b", "test_a", "mytest")
    return type("SampleTest", (script.ScriptedLoadableModuleTest,), {name: told(name) for name in names} | members)


@pytest.mark.parametrize("failing", [None, ("test_a", AssertionError("no")), ("setUp", ValueError("no")),
                                     ("test_b", unittest.SkipTest("torch is missing"))])
def test_a_test_case_runs_alike(failing):
    seen = []
    for script in both(SCRIPT):
        calls, result = [], unittest.TestResult()
        kind = case_class(script, calls, failing)
        seen.append((outcome(kind().runTest), tuple(calls), kind().moduleTestNames))
        calls.clear()
        unittest.defaultTestLoader.loadTestsFromTestCase(kind).run(result)
        seen[-1] += (tuple(calls), len(result.failures), len(result.errors), [reason for _, reason in result.skipped])
    assert seen[0] == seen[1]


def test_a_module_runs_its_test_case_with_the_given_delay(folder):
    for script in both(SCRIPT):
        delays = []
        source = types.ModuleType("source_of_sample")
        run = lambda self, told=delays, **given: told.append((self.messageDelay, given))  # noqa: E731
        source.SampleTest = type("SampleTest", (script.ScriptedLoadableModuleTest,), {"runTest": run})
        sys.modules["source_of_sample"] = source
        module = type("Sample", (script.ScriptedLoadableModule,), {"__module__": "source_of_sample"})
        module(Parent(folder / "Sample.py")).runTest(msec=7, more=1)
        del sys.modules["source_of_sample"]
        assert delays == [(7, {"more": 1})]


def test_messages_are_shown_for_the_same_time(monkeypatch):
    shown = []
    monkeypatch.setattr(slicer.util, "delayDisplay", lambda message, msec: shown.append(msec))
    for script in both(SCRIPT):
        case = case_class(script, [])()
        case.delayDisplay("x")
        case.delayDisplay("x", 20)
        case.delayDisplay("x", 20, 30)
        case.messageDelay = 5
        case.delayDisplay("x", 20, 30)
    assert shown[:4] == shown[4:] == [100, 20, 30, 5]


def test_a_panel_is_made_and_cleaned_alike():
    seen = []
    for script in both(SCRIPT):
        calls = []
        members = {"setup": lambda self, calls=calls: calls.append("setup"),
                   "cleanup": lambda self, calls=calls: calls.append("cleanup")}
        kind = type("SampleWidget", (script.ScriptedLoadableModuleWidget,), members)
        parent = slicer.qMRMLWidget()
        parent.setLayout(qt.QVBoxLayout())
        given, own = kind(parent), kind()
        seen.append((given.moduleName, given.developerMode, given.parent is parent, list(calls),
                     own.parent.mrmlScene() is slicer.mrmlScene, own.layout is not None))
        for name in ("Other", "Sample", "Sample"):
            slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(name)
        seen[-1] += (tuple(calls),)
        own.parent.hide()
    assert seen[0] == seen[1]
