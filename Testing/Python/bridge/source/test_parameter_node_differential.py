"""Parameter nodes: whatever is declared, set and shown, the stand-in does what Slicer's own package does."""

import math
import typing
from types import SimpleNamespace

import ctk
import qt
import slicer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from side_by_side import both, outcome

RUNS = settings(deadline=None, suppress_health_check=list(HealthCheck))

NODES = ("vtkMRMLScalarVolumeNode", "vtkMRMLLabelMapVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLTransformNode")
PLAIN = st.sampled_from((bool, int, float, str, *NODES))
PARTS = (bool, int, float, str, None, *NODES)
# Always in this order: Python takes unions of the same types for one and gives back that which was made first.
UNIONS = st.sets(st.sampled_from(PARTS), min_size=2, max_size=4).map(
    lambda chosen: tuple(part for part in PARTS if part in chosen))
TYPES = st.one_of(PLAIN, UNIONS)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-20, 20), st.floats(-20, 20), st.just(math.nan),
                   st.sampled_from(("", "a", "b", "True", "3")), st.sampled_from(NODES), st.just(()))
ANNOTATIONS = st.one_of(
    st.tuples(st.just("WithinRange"), st.integers(-9, 0), st.integers(0, 9)),
    st.tuples(st.sampled_from(("Minimum", "Maximum", "Decimals", "SingleStep")), st.integers(0, 5)),
    st.tuples(st.sampled_from(("Choice", "Exclude")), st.sampled_from((("a", "b"), (1, 2), (True, False)))),
    st.tuples(st.just("IsInstance"), st.just(str)),
    st.tuples(st.just("NotNone")),
    st.tuples(st.just("Default"), VALUES),
)
MEMBERS = st.tuples(TYPES, st.lists(ANNOTATIONS, max_size=2), st.one_of(st.just("nothing"), VALUES))


def of_name(value):
    """A node of the scene by the name of its class, all else as it is."""
    return slicer.mrmlScene.GetFirstNodeByClass(value) if value in NODES else value


def declared(module, member):
    """A wrapper class with the parameter `value`, declared with a package's own annotations."""
    kind, annotations, start = member
    kinds = kind if isinstance(kind, tuple) else (kind,)
    parts = [getattr(slicer, part) if part in NODES else part for part in kinds]
    annotated = typing.Union[tuple(parts)]  # noqa: UP007
    for name, *arguments in annotations:
        annotated = typing.Annotated[annotated, getattr(module, name)(*map(of_name, arguments))]
    members = {"__annotations__": {"value": annotated}}
    if start != "nothing":
        members["value"] = of_name(start)
    return module.parameterNodeWrapper(type("Declared", (), members))


def new_parameter_node():
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


def contents(node):
    """All that is kept in a parameter node."""
    references = [(node.GetNthNodeReferenceRole(i), node.GetNodeReferenceID(node.GetNthNodeReferenceRole(i)))
                  for i in range(node.GetNumberOfNodeReferenceRoles())]
    kept = {name: node.GetParameter(name) for name in node.GetParameterNames()}
    return kept, sorted(pair for pair in references if pair[1])


def scene_with_one_node_of_each_class():
    slicer.mrmlScene.Clear(0)
    for name in NODES:
        slicer.mrmlScene.AddNewNodeByClass(name)


def same(first, second):
    """Equal, where NaN equals NaN."""
    return repr(first) == repr(second)


def history(module, member, values):
    """What becomes of a parameter that is declared and set to one value after another."""
    node = new_parameter_node()
    made = outcome(lambda: declared(module, member)(node))
    seen = [made if made[0] == "error" else "made", contents(node)]
    if made[0] == "value":
        wrapper = made[1]
        seen.append(outcome(lambda: wrapper.value))
        for value in values:
            seen.append(outcome(setattr, wrapper, "value", of_name(value)))
            seen.append((outcome(lambda: wrapper.value), contents(node)))
    return seen


@RUNS
@given(member=MEMBERS, values=st.lists(VALUES, max_size=4))
def test_parameters_take_refuse_and_keep_the_same(member, values):
    scene_with_one_node_of_each_class()
    own, stand_in = (history(module, member, values) for module in both("parameterNodeWrapper"))
    assert same(own, stand_in)


@RUNS
@given(member=MEMBERS, values=st.lists(VALUES, min_size=1, max_size=3))
def test_a_node_written_by_one_is_read_by_the_other(member, values):
    """What Slicer wrote into a scene is what the stand-in would read from it, and the other way round."""
    scene_with_one_node_of_each_class()
    own, stand_in = both("parameterNodeWrapper")
    for writer, reader in ((own, stand_in), (stand_in, own)):
        node = new_parameter_node()
        written = outcome(lambda writer=writer, node=node: declared(writer, member)(node))
        if written[0] == "error":
            continue
        for value in values:
            outcome(setattr, written[1], "value", of_name(value))
        read, again = (outcome(lambda module=module, node=node: declared(module, member)(node).value)
                       for module in (reader, writer))
        assert same(read, again)


WIDGETS = {
    "QCheckBox": lambda: qt.QCheckBox(),
    "QSpinBox": lambda: qt.QSpinBox(),
    "QSlider": lambda: qt.QSlider(),
    "QDoubleSpinBox": lambda: qt.QDoubleSpinBox(),
    "QComboBox": lambda: qt.QComboBox(),
    "QLineEdit": lambda: qt.QLineEdit(),
    "QLCDNumber": lambda: qt.QLCDNumber(),
    "ctkSliderWidget": lambda: ctk.ctkSliderWidget(),
    "ctkComboBox": lambda: ctk.ctkComboBox(),
    "qMRMLNodeComboBox": lambda: slicer.qMRMLNodeComboBox(),
    "qMRMLSliderWidget": lambda: slicer.qMRMLSliderWidget(),
}
SHOWN = ("checked", "value", "minimum", "maximum", "decimals", "singleStep", "currentText", "count", "text",
         "nodeTypes")


def appearance(widget):
    """The properties of a widget that a connector may change, and its node."""
    shown = {name: getattr(widget, name) for name in SHOWN if hasattr(widget, name)}
    return shown, widget.currentNode() if hasattr(widget, "currentNode") else None


def operate(widget, value):
    """What a user does with a widget."""
    if hasattr(widget, "setCurrentNode"):
        return outcome(widget.setCurrentNode, of_name(value))
    for name in ("checked", "value", "currentIndex", "text"):
        if hasattr(widget, name):
            return outcome(setattr, widget, name, value)
    return None


def gui_history(module, member, widget_class, values, operations):
    """What becomes of a parameter and its widget that are changed in turn."""
    node, widget = new_parameter_node(), WIDGETS[widget_class]()
    if widget_class == "qMRMLNodeComboBox":
        widget.noneEnabled = True
        widget.setMRMLScene(slicer.mrmlScene)
    made = outcome(lambda: declared(module, member)(node))
    if made[0] == "error":
        return [made]
    wrapper = made[1]
    widget.setProperty(module.SlicerParameterNamePropertyName, "value")
    tag = outcome(wrapper.connectGui, SimpleNamespace(widget=widget))
    seen = [tag, appearance(widget), contents(node)]
    for value in values if tag[0] == "value" else ():
        seen.append((outcome(setattr, wrapper, "value", of_name(value)), appearance(widget), contents(node)))
    for value in operations if tag[0] == "value" else ():
        seen.append((operate(widget, value), appearance(widget), contents(node)))
    if tag[0] == "value":
        wrapper.disconnectGui(tag[1])
        operate(widget, operations[0] if operations else True)
        seen.append(contents(node))
    return seen


GUI_MEMBERS = st.tuples(st.one_of(PLAIN, st.just(("vtkMRMLSegmentationNode", "vtkMRMLTransformNode", None))),
                        st.lists(ANNOTATIONS, max_size=2), st.just("nothing"))


@RUNS
@given(member=GUI_MEMBERS, widget_class=st.sampled_from(sorted(WIDGETS)), values=st.lists(VALUES, max_size=2),
       operations=st.lists(VALUES, max_size=3))
def test_widgets_show_and_change_the_same(member, widget_class, values, operations):
    scene_with_one_node_of_each_class()
    own, stand_in = (gui_history(module, member, widget_class, values, operations)
                     for module in both("parameterNodeWrapper"))
    assert same(own, stand_in)


def test_what_the_stand_in_offers_slicer_offers():
    own, stand_in = both("parameterNodeWrapper")
    assert set(stand_in.__all__) <= set(vars(own))


def test_names_that_slicer_takes_for_itself_are_refused_alike():
    for name in ("allParameters", "default", "isCached", "dataType", "getValue", "connectGui", "StartModify",
                 "Modified", "RemoveObserver", "parameterNode"):
        made = [outcome(module.parameterNodeWrapper, type("Declared", (), {"__annotations__": {name: int}}))
                for module in both("parameterNodeWrapper")]
        assert made[0] == made[1] or made[0][0] == made[1][0] == "value"
        assert made[0][0] == "error" or name == "parameterNode"


def test_calls_by_unknown_names_are_refused_alike():
    for module in both("parameterNodeWrapper"):
        wrapper = declared(module, (int, [], "nothing"))(new_parameter_node())
        for call in (wrapper.getValue, wrapper.default, wrapper.dataType, wrapper.isCached):
            assert outcome(call, "other") == ("error", ValueError)
        assert outcome(wrapper.setValue, "other", 3) == ("error", ValueError)
        assert outcome(wrapper.connectParametersToGui, {"other": qt.QSpinBox()}) == ("error", ValueError)
