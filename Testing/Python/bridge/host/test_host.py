"""The Slicer stand-in behaves as Slicer does."""

import gc
import logging
import textwrap

import pytest

UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>HostSample</class>
 <widget class="qMRMLWidget" name="HostSample">
  <layout class="QVBoxLayout" name="verticalLayout">
   <item>
    <widget class="ctkCollapsibleButton" name="inputsButton">
     <property name="text"><string>Inputs</string></property>
     <layout class="QFormLayout" name="formLayout">
      <item row="0" column="0">
       <widget class="QLabel" name="label"><property name="text"><string>Volume:</string></property></widget>
      </item>
      <item row="0" column="1">
       <widget class="qMRMLNodeComboBox" name="inputSelector">
        <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
        <property name="addEnabled"><bool>false</bool></property>
        <property name="SlicerParameterName" stdset="0"><string>inputVolume</string></property>
       </widget>
      </item>
      <item row="1" column="1">
       <widget class="ctkSliderWidget" name="thresholdSlider">
        <property name="singleStep"><double>0.5</double></property>
        <property name="SlicerParameterName" stdset="0"><string>threshold</string></property>
       </widget>
      </item>
      <item row="2" column="1">
       <widget class="QComboBox" name="modeBox">
        <property name="SlicerParameterName" stdset="0"><string>mode</string></property>
       </widget>
      </item>
      <item row="3" column="1">
       <widget class="QCheckBox" name="invertBox">
        <property name="SlicerParameterName" stdset="0"><string>invert</string></property>
       </widget>
      </item>
     </layout>
    </widget>
   </item>
   <item>
    <widget class="QPushButton" name="applyButton"><property name="text"><string>Apply</string></property></widget>
   </item>
  </layout>
 </widget>
 <customwidgets>
  <customwidget><class>qMRMLWidget</class><extends>QWidget</extends><header>qMRMLWidget.h</header>
   <container>1</container></customwidget>
  <customwidget><class>qMRMLNodeComboBox</class><extends>QWidget</extends><header>q.h</header></customwidget>
  <customwidget><class>ctkCollapsibleButton</class><extends>QWidget</extends><header>c.h</header>
   <container>1</container></customwidget>
  <customwidget><class>ctkSliderWidget</class><extends>QWidget</extends><header>s.h</header></customwidget>
 </customwidgets>
 <connections>
  <connection>
   <sender>HostSample</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
   <receiver>inputSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot>
  </connection>
 </connections>
</ui>
"""

SOURCE = """
from typing import Annotated, Optional

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin
from slicer import vtkMRMLScalarVolumeNode


class HostSample(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Host sample")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        slicer.app.connect("startupCompleted()", self.started)

    def started(self):
        import SampleData

        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category="HostSample", sampleName="one", uris="u", fileNames="f", nodeNames="n"
        )


@parameterNodeWrapper
class HostSampleParameterNode:
    inputVolume: vtkMRMLScalarVolumeNode
    threshold: Annotated[float, WithinRange(0, 10)] = 3.0
    mode: Annotated[str, Choice(["fast", "fine"])] = "fine"
    invert: bool = True
    label: Annotated[str, Choice(["a", "b"])] = "b"
    count: Optional[int]


class HostSampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.calls = []

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/HostSample.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = HostSampleLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, lambda *_: self.calls.append("close"))
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.node = self.logic.getParameterNode()
        self.tag = self.node.connectGui(self.ui)

    def cleanup(self):
        self.node.disconnectGui(self.tag)
        self.removeObservers()
        self.calls.append("cleanup")

    def enter(self):
        self.calls.append("enter")

    def exit(self):
        self.calls.append("exit")

    def onApply(self):
        with slicer.util.tryWithErrorDisplay("It went wrong.", waitCursor=True):
            raise ValueError("no brain")


class HostSampleLogic(ScriptedLoadableModuleLogic):
    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)

    def getParameterNode(self):
        return HostSampleParameterNode(super().getParameterNode())
"""


@pytest.fixture
def sample(host, tmp_path):
    """A small scripted module, loaded."""
    folder = tmp_path / "HostSample"
    (folder / "Resources" / "UI").mkdir(parents=True)
    (folder / "Resources" / "UI" / "HostSample.ui").write_text(UI)
    (folder / "HostSample.py").write_text(textwrap.dedent(SOURCE))
    yield host.load_module("HostSample", folder)
    host.unload_module("HostSample")
    gc.collect()  # as in Slicer, a parameter node that is collected while its node calls it takes the process along


class TestScriptedModule:
    def test_widget_logic_and_slicer_modules(self, host, sample):
        import slicer

        assert sample.module.title == "Host sample"
        assert slicer.modules.hostsample is sample.module
        assert slicer.util.getModuleWidget("HostSample") is sample.widget
        assert slicer.util.getModuleLogic("HostSample") is sample.widget.logic
        assert slicer.modules.HostSampleWidget is sample.widget

    def test_sample_data_is_registered_at_startup(self, sample):
        import SampleData

        assert SampleData.SampleDataLogic().sourceForSampleName("one") is not None

    def test_enter_and_exit(self, host, sample):
        host.select_module("HostSample")
        host.select_module("")
        assert sample.widget.calls == ["enter", "exit"]
        assert not sample.representation.isEntered

    def test_a_reloaded_panel_is_still_entered(self, host, sample):
        host.select_module("HostSample")
        host.reload_module("HostSample")
        host.select_module("HostSample")
        assert sample.widget.calls == []
        assert sample.widget.parent.isEntered

    def test_scene_close_is_seen(self, host, sample):
        import slicer

        calls = sample.widget.calls
        slicer.mrmlScene.Clear(0)
        assert calls == ["close"]

    def test_reload_makes_a_new_widget_and_cleans_the_old_one(self, host, sample):
        old = sample.widget
        host.reload_module("HostSample")
        assert old.calls == ["cleanup"]
        assert sample.widget is not old
        assert sample.widget.ui.applyButton.text == "Apply"

    def test_errors_are_shown_and_raised(self, host, sample, caplog):
        with caplog.at_level(logging.CRITICAL):
            sample.widget.ui.applyButton.click()
        assert [dialog.text for dialog in host.errors()] == ["It went wrong.\n\nno brain"]
        assert "ValueError" in host.errors()[0].detailed_text
        assert isinstance(host.take_unhandled()[0], ValueError)

    def test_the_panel_can_be_pictured(self, host, sample, tmp_path):
        import qt

        path = host.screenshot(sample.representation, tmp_path / "panel.png", width=400)
        image = qt.QImage(str(path))
        colors = {image.pixelColor(x, y).rgb() for x in range(0, 400, 3) for y in range(0, image.height(), 3)}
        assert image.width() == 400
        assert len(colors) > 5


class TestParameterNode:
    def test_defaults_reach_the_widgets(self, sample):
        ui = sample.widget.ui
        assert ui.thresholdSlider.value == 3.0
        assert ui.thresholdSlider.maximum == 10
        assert ui.invertBox.checked
        assert ui.modeBox.currentText == "fine"

    def test_widgets_write_the_node(self, sample, volume):
        ui, node = sample.widget.ui, sample.widget.node
        ui.thresholdSlider.value = 4.5
        ui.invertBox.checked = False
        ui.modeBox.currentIndex = 0
        ui.inputSelector.setCurrentNode(volume)
        assert (node.threshold, node.invert, node.mode) == (4.5, False, "fast")
        assert node.inputVolume is volume

    def test_the_node_writes_the_widgets(self, sample, volume):
        ui, node = sample.widget.ui, sample.widget.node
        node.threshold = 7.0
        node.inputVolume = volume
        assert ui.thresholdSlider.value == 7.0
        assert ui.inputSelector.currentNode() is volume
        node.disconnectGui(sample.widget.tag)
        node.threshold = 1.0
        assert ui.thresholdSlider.value == 7.0

    def test_values_are_checked(self, sample):
        node = sample.widget.node
        for name, value in (("threshold", 11), ("label", "c"), ("inputVolume", "head")):
            with pytest.raises((TypeError, ValueError)):
                setattr(node, name, value)
        assert (node.threshold, node.label) == (3.0, "b")

    def test_values_are_kept_in_the_node(self, sample):
        node = sample.widget.node
        assert node.count is None
        node.count, node.label = 4, "a"
        other = type(node)(node.parameterNode)
        assert (other.count, other.label) == (4, "a")

    def test_a_union_of_nodes_needs_none(self, host):

        import slicer
        from slicer.parameterNodeWrapper import parameterNodeWrapper

        @parameterNodeWrapper
        class Masks:
            mask: slicer.vtkMRMLSegmentationNode | slicer.vtkMRMLLabelMapVolumeNode

        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
        with pytest.raises(TypeError, match="Unable to write value"):
            Masks(node)


class TestUiFiles:
    def load(self, tmp_path, text):
        import slicer

        path = tmp_path / "panel.ui"
        path.write_text(text)
        return slicer.util.loadUI(str(path))

    def test_unknown_widget_property_and_slot_raise(self, host, tmp_path):
        with pytest.raises(ValueError, match="qMRMLNodeCombBox"):
            self.load(tmp_path, UI.replace("qMRMLNodeComboBox", "qMRMLNodeCombBox"))
        with pytest.raises(ValueError, match="singleStp"):
            self.load(tmp_path, UI.replace("singleStep", "singleStp"))
        with pytest.raises(ValueError, match="setMRMLScen"):
            self.load(tmp_path, UI.replace("<slot>setMRMLScene(", "<slot>setMRMLScen("))


class TestDialogs:
    def test_questions_are_answered_as_told(self, host):
        import slicer

        assert not slicer.util.confirmYesNoDisplay("Go on?")
        host.answer("Yes", "Ok")
        assert slicer.util.confirmYesNoDisplay("Go on?")
        assert slicer.util.confirmOkCancelDisplay("Sure?")
        assert [dialog.answer for dialog in host.dialogs] == ["No", "Yes", "Ok"]

    def test_files_are_chosen_as_told(self, host):
        import qt

        assert qt.QFileDialog.getOpenFileName(None, "Open", "/") == ""
        host.answer("/tmp/a.nii.gz")
        assert qt.QFileDialog.getOpenFileName(None, "Open", "/") == "/tmp/a.nii.gz"


    def test_a_question_under_a_wait_cursor_is_seen(self, host):
        import slicer

        slicer.util.confirmOkCancelDisplay("Now?")
        assert not host.under_wait_cursor()
        with slicer.util.tryWithErrorDisplay(waitCursor=True):
            slicer.util.confirmOkCancelDisplay("Under the cursor?")
        assert [dialog.text for dialog in host.under_wait_cursor()] == ["Under the cursor?"]
        host.dialogs.clear()


class TestPackages:
    def test_installed_packages_are_enough(self, host):
        import slicer.packaging

        slicer.packaging.pip_ensure("numpy>=1.20", requester="Tests")
        assert not host.python_runs.runs
        assert not host.dialogs

    def test_a_missing_package_is_asked_for(self, host):
        import slicer.packaging

        host.hide_package("monai")
        with pytest.raises(RuntimeError, match="declined"):
            slicer.packaging.pip_ensure("monai>=1.4")
        assert host.dialogs[0].kind == "question"

    def test_pytorch_extension(self, host):
        from PyTorchUtils import PyTorchUtilsLogic

        logic = PyTorchUtilsLogic()
        assert logic.torchInstalled()
        host.hide_package("torch")
        assert not logic.torchInstalled()
        assert logic.installTorch(askConfirmation=True) is None
        assert not host.python_runs.runs
        host.answer("Ok")
        host.python_runs.succeed()
        assert logic.installTorch(askConfirmation=True) is not None
        assert logic.torchInstalled()


class TestScene:
    def test_subject_hierarchy_follows_the_nodes(self, host, volume):
        import slicer

        tree = slicer.mrmlScene.GetSubjectHierarchyNode()
        item = tree.GetItemByDataNode(volume)
        assert item
        slicer.mrmlScene.RemoveNode(volume)
        assert tree.GetItemByDataNode(volume) == 0

    def test_slice_layers(self, host, volume):
        import slicer

        slicer.util.setSliceViewerLayers(background=volume, fit=True)
        layouts = slicer.app.layoutManager()
        assert layouts.sliceViewNames() == ("Red", "Green", "Yellow")
        composite = layouts.sliceWidget("Red").sliceLogic().GetSliceCompositeNode()
        assert composite.GetBackgroundVolumeID() == volume.GetID()

    def test_volumes_are_saved_and_loaded(self, host, tmp_path):
        import numpy as np
        import slicer

        node = slicer.util.addVolumeFromArray(np.arange(24, dtype=np.float32).reshape(2, 3, 4), name="small")
        node.SetSpacing(1, 2, 3)
        assert slicer.util.saveNode(node, str(tmp_path / "small.nii.gz"))
        loaded = slicer.util.loadVolume(str(tmp_path / "small.nii.gz"))
        assert np.array_equal(slicer.util.arrayFromVolume(loaded), slicer.util.arrayFromVolume(node))
        assert loaded.GetSpacing() == pytest.approx((1, 2, 3))
