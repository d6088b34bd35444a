"""The Slicer stand-in behaves as Slicer does."""

import gc
import logging
import textwrap

import pytest


@pytest.fixture
def volume(host):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "head")
    return node


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


class TestQt:
    def test_properties_are_attributes(self, host):
        import qt

        button = qt.QPushButton("Apply")
        button.text = "Cancel"
        button.enabled = False
        assert (button.text, button.enabled) == ("Cancel", False)

    def test_unknown_attributes_raise(self, host):
        import qt

        label = qt.QLabel()
        with pytest.raises(AttributeError):
            label.txt = "typo"
        with pytest.raises(AttributeError):
            _ = label.txt
        with pytest.raises(AttributeError):
            label.setText = "a slot cannot be set"
        with pytest.raises(AttributeError):
            _ = qt.Signal

    def test_signals_by_signature(self, host):
        import qt

        got = []
        button = qt.QPushButton()
        button.checkable = True
        button.connect("clicked(bool)", got.append)
        spin = qt.QSpinBox()
        spin.connect("valueChanged(int)", got.append)
        button.click()
        spin.value = 5
        assert got == [True, 5]
        assert button.disconnect("clicked(bool)", got.append)
        button.click()
        assert got == [True, 5]

    def test_a_connection_by_the_shorter_signature_holds_its_object_too(self, host):
        import gc
        import weakref

        import qt

        class Owner:
            def pressed(self):
                pass

        button, owner = qt.QPushButton(), Owner()
        button.connect("clicked()", owner.pressed)
        kept = weakref.ref(owner)
        del owner
        gc.collect()
        assert kept() is not None
        button.disconnect("clicked()", kept().pressed)
        gc.collect()
        assert kept() is None

    @pytest.mark.parametrize("by_text", [True, False])
    @pytest.mark.parametrize("end", ["disconnected", "sender deleted", "sender deleted with its parent"])
    def test_a_connection_holds_its_object_until_it_ends(self, host, by_text, end):
        import gc
        import weakref

        import qt

        from host import connections

        class Owner:
            def __init__(self, parent):
                self.timer = qt.QTimer(parent)
                if by_text:
                    self.timer.connect("timeout()", self.tick)
                else:
                    self.timer.timeout.connect(self.tick)

            def tick(self):
                pass

        before = len(connections.held())
        parent = qt.QObject()
        owner = Owner(parent)
        timer, kept = owner.timer, weakref.ref(owner)
        del owner
        gc.collect()
        assert kept() is not None and len(connections.held()) == before + 1
        if end == "disconnected" and by_text:
            timer.disconnect("timeout()", kept().tick)
        elif end == "disconnected":
            timer.timeout.disconnect(kept().tick)
        else:
            (timer if end == "sender deleted" else parent).delete()
        gc.collect()
        assert kept() is None and len(connections.held()) == before

    def test_what_stands_in_for_cpp_dies_with_its_last_reference(self, host):
        import gc
        import weakref

        import ctk

        widget = weakref.ref(ctk.ctkSliderWidget())
        gc.collect()
        assert widget() is None

    def test_the_shorter_signature_of_a_signal_calls_without_its_value(self, host):
        import qt

        got, button = [], qt.QPushButton()

        def add(value="its own"):
            got.append(value)

        button.connect("clicked()", add)
        button.click()
        button.connect("clicked(bool)", add)
        button.click()
        assert got == ["its own", "its own", False]
        assert button.disconnect("clicked()", add)
        button.click()
        assert got[3:] == [False]

    def test_unknown_signal_raises(self, host):
        import qt

        with pytest.raises(ValueError, match="does not exist"):
            qt.QPushButton().connect("clickd()", print)

    def test_timers_run(self, host):
        import qt

        ticks = []
        timer = qt.QTimer()
        timer.interval = 2
        timer.connect("timeout()", lambda: ticks.append(1))
        timer.start()
        qt.QTimer.singleShot(1, lambda: ticks.append("once"))
        host.wait_until(lambda: "once" in ticks and len(ticks) > 2, 5)
        timer.stop()

    def test_exceptions_in_slots_are_seen(self, host):
        import qt

        button = qt.QPushButton()
        button.connect("clicked()", lambda: 1 / 0)
        button.click()
        assert [type(error) for error in host.take_unhandled()] == [ZeroDivisionError]

    def test_many_calls_keep_the_interpreter_alive(self, host):
        import qt

        label = qt.QLabel()
        for index in range(20000):
            label.setText(str(index))
        assert label.text == "19999"


class TestNodeComboBox:
    def make(self, **settings):
        import slicer

        box = slicer.qMRMLNodeComboBox()
        box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        for name, value in settings.items():
            setattr(box, name, value)
        box.setMRMLScene(slicer.mrmlScene)
        return box

    def test_follows_the_scene(self, host):
        import slicer

        box = self.make(noneEnabled=True)
        changes = []
        box.connect("currentNodeChanged(vtkMRMLNode*)", changes.append)
        first = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "first")
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "other")
        second = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "second")
        assert box.nodeCount() == 2
        assert box.currentNode() is None
        box.setCurrentNode(second)
        slicer.mrmlScene.RemoveNode(second)
        assert changes == [second, first]
        slicer.mrmlScene.Clear(0)
        assert box.currentNode() is None
        assert box.nodeCount() == 0
        assert changes[-1] is None

    def test_takes_the_first_node_where_none_is_not_offered(self, volume):
        assert self.make().currentNode() is volume
        assert self.make(noneEnabled=True).currentNode() is None

    def test_hidden_and_derived_nodes(self, host):
        import slicer

        hidden = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
        hidden.UnRegister(None)
        hidden.SetHideFromEditors(True)
        slicer.mrmlScene.AddNode(hidden)
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
        assert self.make().nodeCount() == 1
        assert self.make(showChildNodeTypes=False).nodeCount() == 0
        assert self.make(showHidden=True).nodeCount() == 2
        assert self.make(hideChildNodeTypes=["vtkMRMLLabelMapVolumeNode"]).nodeCount() == 0

    def test_shows_new_names_and_makes_nodes(self, host, volume):
        box = self.make(addEnabled=True, renameEnabled=True)
        volume.SetName("renamed")
        texts = [box.comboBox().itemText(row) for row in range(box.comboBox().count)]
        assert "renamed" in texts
        assert any(text.startswith("Create new") for text in texts)
        row = next(i for i, text in enumerate(texts) if text.startswith("Create new"))
        box.comboBox().setCurrentIndex(row)
        box.comboBox().activated.emit(row)
        assert box.currentNode() is not volume
        assert box.currentNode().IsA("vtkMRMLScalarVolumeNode")

    def test_refuses_what_is_no_node(self, host):
        with pytest.raises(TypeError):
            self.make().setCurrentNode(3)


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


class TestRendering:
    """Left is left, colors are those of the segments, and nothing is empty."""

    RED, BRIGHT = (0.9, 0.1, 0.1), 100

    @pytest.fixture
    def phantom(self, host):
        """A gray head with a bright block at the patient's left and front, and a segment on the right."""
        import numpy as np
        import slicer

        if not host.render.supported():
            pytest.skip("VTK cannot draw without libegl1 or libosmesa6")
        # Axes of the array: k, j, i; voxel (0, 0, 0) at RAS (-40, -40, -40), 2 mm.
        array = np.zeros((40, 40, 40), np.int16)
        array[4:36, 4:36, 4:36] = 30
        array[10:30, 26:34, 6:14] = self.BRIGHT
        node = slicer.util.addVolumeFromArray(array, name="phantom")
        node.SetSpacing(2, 2, 2)
        node.SetOrigin(-40, -40, -40)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(0, 100)
        labels = np.zeros_like(array)
        labels[8:32, 8:32, 26:34] = 1
        label_node = slicer.util.addVolumeFromArray(labels, nodeClassName="vtkMRMLLabelMapVolumeNode")
        label_node.CopyOrientation(node)
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "block")
        segmentation.CreateDefaultDisplayNodes()
        slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(label_node, segmentation)
        slicer.mrmlScene.RemoveNode(label_node)
        segmentation.GetSegmentation().GetNthSegment(0).SetColor(*self.RED)
        return node, segmentation

    @staticmethod
    def red(picture):
        import numpy as np

        values = picture.astype(int)
        return np.argwhere((values[..., 0] > 70) & (values[..., 1] < values[..., 0] - 40))

    def test_slices_show_the_volume_with_left_on_the_right(self, host, phantom, tmp_path):
        import numpy as np

        volume, _ = phantom
        path = tmp_path / "axial.png"
        picture = host.render.slice_view(path, background=volume, size=(200, 200), position_ras=(0, 0, 0))
        assert path.stat().st_size > 0
        bright = np.argwhere(picture[10:-20, 20:-20].min(axis=2) > 200)
        row, column = bright.mean(axis=0) + np.array([10, 20])
        assert column > 120
        assert row < 80

    def test_segments_are_drawn_over_the_volume(self, host, phantom):
        volume, segmentation = phantom
        picture = host.render.slice_views(
            None, background=volume, segmentation=segmentation, size=(160, 160), position_ras=(20, 0, 0)
        )
        assert picture.shape == (160, 480, 3)
        for index in range(3):
            spots = self.red(picture[10:, 160 * index : 160 * (index + 1)])
            assert len(spots) > 300
        assert self.red(picture[10:, :160]).mean(axis=0)[1] < 70
        without = host.render.slice_views(None, background=volume, size=(160, 160), position_ras=(-20, 0, 0))
        segmentation.GetDisplayNode().SetVisibility(False)
        hidden = host.render.slice_views(None, background=volume, size=(160, 160), position_ras=(20, 0, 0))
        assert len(self.red(hidden[10:])) == 0
        assert without.shape == hidden.shape

    def test_surfaces_are_drawn_in_3d(self, host, phantom, tmp_path):
        _, segmentation = phantom
        empty = host.render.three_d_view(None, size=(160, 160))
        assert len(self.red(empty)) == 0
        segmentation.CreateClosedSurfaceRepresentation()
        picture = host.render.three_d_view(tmp_path / "view.png", size=(160, 160))
        spots = self.red(picture)
        assert len(spots) > 1000
        assert spots.min() > 5
        assert spots.max() < 155

    def test_views_do_not_stay_behind(self, host, phantom):
        import slicer

        volume, _ = phantom
        host.render.slice_view(None, background=volume, size=(64, 64))
        slicer.mrmlScene.Clear(0)
        with pytest.raises(ValueError, match="nothing to show"):
            host.render.slice_view(None, size=(64, 64))

    def test_unknown_orientation(self, host, phantom):
        with pytest.raises(ValueError, match="Orientations"):
            host.render.slice_views(None, background=phantom[0], orientations=("Axiall",))

    def test_a_real_head(self, host, data_folder):
        import numpy as np
        import slicer

        if not host.render.supported():
            pytest.skip("VTK cannot draw without libegl1 or libosmesa6")
        path = data_folder / "brain" / "vm_t1_stripped.nii.gz"
        if not path.exists():
            pytest.skip(f"{path} is not there")
        volume = slicer.util.loadVolume(str(path))
        picture = host.render.slice_views(None, background=volume, size=(128, 128))
        for index in range(3):
            tile = picture[10:-16, 128 * index + 14 : 128 * (index + 1) - 14]
            assert np.count_nonzero(tile.max(axis=2) > 40) > 0.1 * tile.shape[0] * tile.shape[1]
