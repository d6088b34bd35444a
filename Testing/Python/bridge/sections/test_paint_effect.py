"""The Segment Editor effect MedDL Predict: preview from painted slices, follows strokes, Apply, Cancel, Undo."""

import time

import numpy as np
import pytest
import slicer
from bridge_scene import add_linear_transform, add_volume, turned

import host
from meddl.measures.overlap import dice
from meddl_slicer.sections.painting.registration import NAME

pytestmark = pytest.mark.usefixtures("clean", "bridge_worker")
SHAPE = (32, 30, 24)
AFFINE = np.array([[-1.5, 0, 0, 20], [0, -1.5, 0, 10], [0, 0, 2.0, -5], [0, 0, 0, 1]])
SLICES = (5, 12, 19)


def ball():
    i, j, k = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    true = (np.sqrt((i - 16) ** 2 + (j - 15) ** 2 + (1.3 * (k - 12)) ** 2) < 11).astype(np.uint8)
    return (100 * true + np.random.default_rng(0).normal(scale=15, size=SHAPE)).astype(np.int16), true


class Editor:
    """The Segment Editor with a volume, a segmentation with a painted ball, and the effect."""

    def __init__(self, parent=None):
        host.load_module("MedDLSeg")
        image, self.true = ball()
        self.volume = add_volume(image, AFFINE)
        self.segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "paint")
        self.segmentation.CreateDefaultDisplayNodes()
        self.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(self.volume)
        for node in (self.volume, self.segmentation):
            node.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
        self.ids = [self.segmentation.GetSegmentation().AddEmptySegment("", name) for name in ("ball", "other")]
        self.paint(SLICES)
        slicer.util.selectModule("SegmentEditor")
        self.widget = slicer.util.getModuleWidget("SegmentEditor").editor
        self.widget.setSegmentationNode(self.segmentation)
        self.widget.setSourceVolumeNode(self.volume)
        self.widget.setActiveEffectByName(NAME)
        self.effect = self.widget.activeEffect().self()

    def paint(self, slices, name="ball", labels=None):
        labels = self.true if labels is None else labels
        array = np.zeros(SHAPE, np.uint8)
        array[..., list(slices)] = labels[..., list(slices)]
        self.put(name, array)

    def put(self, name, array):
        identifier = self.segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(array.transpose(2, 1, 0), self.segmentation, identifier,
                                                         self.volume)

    def read(self, name="ball", node=None):
        node = node or self.segmentation
        identifier = node.GetSegmentation().GetSegmentIdBySegmentName(name)
        if not identifier:
            return np.zeros(SHAPE, np.uint8)
        return slicer.util.arrayFromSegmentBinaryLabelmap(node, identifier, self.volume).transpose(2, 1, 0)

    def predict(self):
        self.effect.predictButton.click()
        self.wait()

    def wait(self):
        host.wait_until(lambda: not self.effect.preview.running and not self.effect.preview._timer.active, 60)

    def close(self):
        self.effect.onCancel()


@pytest.fixture
def editor():
    made = Editor()
    yield made
    made.close()


def test_the_effect_is_in_the_editor_once(editor):
    names = [effect.name for effect in slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects()]
    assert names.count(NAME) == 1
    assert not editor.effect.applyButton.enabled and not editor.effect.cancelButton.enabled


def test_predict_shows_a_preview_and_leaves_the_paint(editor):
    before = editor.read().copy()
    editor.predict()
    assert dice(editor.read(node=editor.effect.preview.node), editor.true, [1])[0] > 0.9
    assert np.array_equal(editor.read(), before)
    assert editor.effect.applyButton.enabled and "Predicted in" in editor.effect.statusLabel.text


def test_cancel_takes_the_preview_away(editor):
    editor.predict()
    node = editor.effect.preview.node
    editor.effect.cancelButton.click()
    assert not slicer.mrmlScene.IsNodePresent(node) and editor.effect.preview is None
    assert np.array_equal(editor.read()[..., 6:12], np.zeros((*SHAPE[:2], 6)))


def test_apply_fills_the_segment_and_undo_takes_it_back(editor):
    before = editor.read().copy()
    editor.predict()
    editor.effect.applyButton.click()
    host.process_events()
    assert dice(editor.read(), editor.true, [1])[0] > 0.9 and editor.effect.preview is None
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
    editor.widget.undo()
    assert np.array_equal(editor.read(), before)


def test_each_stroke_is_followed_with_another_effect_too(editor):
    editor.paint((9,))
    editor.predict()
    first = editor.effect.preview.result
    editor.widget.setActiveEffect(None)
    editor.paint((5, 9, 15, 19))
    editor.wait()
    host.wait_until(lambda: editor.effect.preview.result is not first, 60)
    assert editor.effect.preview.result.report["slices"] == 4


def test_strokes_are_not_followed_where_the_user_does_not_want_it(editor):
    editor.effect.followCheckBox.checked = False
    editor.predict()
    first = editor.effect.preview.result
    editor.paint((5, 9, 15, 19))
    host.process_events(0.6)
    assert editor.effect.preview.result is first and not editor.effect.preview.running


def test_apply_stays_within_the_editable_area(editor):
    area = np.zeros(SHAPE, np.uint8)
    area[:16] = 1
    editor.put("other", area)
    editor.segmentation.GetDisplayNode().SetSegmentVisibility(editor.ids[1], False)
    node = editor.widget.mrmlSegmentEditorNode()
    node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment)
    node.SetMaskSegmentID(editor.ids[1])
    node.SetOverwriteMode(node.OverwriteNone)
    before = editor.read().copy()
    editor.predict()
    editor.effect.applyButton.click()
    assert np.array_equal(editor.read()[16:], before[16:])
    assert dice(editor.read()[:16], editor.true[:16], [1])[0] > 0.9
    assert np.array_equal(editor.read("other"), area)


def test_other_segments_are_overwritten_as_the_editor_says(editor):
    other = np.zeros(SHAPE, np.uint8)
    other[14:18, 13:17, 8:10] = 1
    for mode, left in (("OverwriteNone", True), ("OverwriteAllSegments", False)):
        editor.paint(SLICES)
        editor.put("other", other)
        editor.segmentation.GetDisplayNode().SetSegmentVisibility(editor.ids[1], False)
        node = editor.widget.mrmlSegmentEditorNode()
        node.SetOverwriteMode(getattr(node, mode))
        editor.predict()
        editor.effect.applyButton.click()
        assert bool(editor.read("other").any()) is left


def test_under_a_transform_everything_stays_in_place():
    editor = Editor(add_linear_transform(turned()))
    editor.predict()
    editor.effect.applyButton.click()
    assert dice(editor.read(), editor.true, [1])[0] > 0.9
    editor.close()


def test_nothing_painted_is_said_and_the_next_try_works(editor):
    editor.put("ball", np.zeros(SHAPE, np.uint8))
    editor.effect.predictButton.click()
    assert any("Nothing is painted" in str(dialog) for dialog in host.errors())
    assert len(host.take_unhandled()) == 1
    editor.paint(SLICES)
    editor.predict()
    assert editor.effect.applyButton.enabled
    editor.put("ball", np.zeros(SHAPE, np.uint8))
    host.wait_until(lambda: "Nothing is painted" in editor.effect.statusLabel.text, 30)
    editor.paint(SLICES)
    host.wait_until(lambda: "Predicted in" in editor.effect.statusLabel.text, 30)


def test_the_interface_is_never_blocked_for_long(editor):
    longest, last = 0.0, time.perf_counter()
    editor.effect.predictButton.click()
    while editor.effect.preview.running:
        slicer.app.processEvents()
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    assert longest < 0.1


def test_closing_the_scene_ends_the_preview(editor):
    editor.effect.predictButton.click()
    slicer.mrmlScene.Clear(0)
    host.process_events(0.1)
    assert not slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
