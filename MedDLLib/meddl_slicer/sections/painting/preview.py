"""The prediction from the paint of a segmentation node, as a second node over it that follows each stroke."""

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from meddl.core.errors import Cancelled, InputError, MedDLError
from meddl.painting.config import PaintConfig
from meddl.results import Segment, Segmentation
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.nodes import image_from_array, local_affine, read_node
from meddl_slicer.mrml.segment_layers import read_layers
from meddl_slicer.mrml.segmentations import segmentation_content
from meddl_slicer.runs import tasks
from meddl_slicer.runs.packages import dependencies

PREDICT = "meddl_slicer.sections.painting.remote:predict"
DELAY_MS = 250   # after the last change of a stroke
_STEP = 8        # the part that is sent begins at multiples of this many voxels, as the region does


class PaintPreview:
    """Predicts in the worker, shows the result, and does so again after each stroke until it is closed.

    Args:
        segmentationNode, volumeNode: what is painted, over which volume.
        config: of the prediction.
        onChange: called without arguments when a run begins or ends.

    Attributes:
        node: the preview's segmentation node, None before the first result.
        ids: identifiers of the painted segments by their label value in the preview.
        result: what was predicted, on a part of the volume's grid; None before the first result.
        error: why the last run failed, or None.
        follow: whether strokes are followed.
    """

    def __init__(self, segmentationNode, volumeNode, config: PaintConfig, onChange):
        self.segmentationNode, self.volumeNode, self.config = segmentationNode, volumeNode, config
        self.node = self.result = self.error = None
        self.ids: dict[int, str] = {}
        self.follow = True
        self._onChange, self._task, self._again, self._placement = onChange, None, False, None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.connect("timeout()", self._runAgain)
        self._observed = segmentationNode.GetSegmentation()
        content = slicer.vtkSegmentation
        self._tags = [self._observed.AddObserver(event, self._onPaint) for event in (
            content.SourceRepresentationModified, content.SegmentAdded, content.SegmentRemoved)]
        self._closeTag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.StartCloseEvent, lambda *_: self.close())

    @property
    def running(self) -> bool:
        """Whether a prediction is on its way."""
        return self._task is not None

    def run(self) -> None:
        """Predict from the paint as it is now; where a prediction is on its way, after it.

        Raises:
            InputError: nothing is painted, or the volume cannot be read.
            DependencyError: packages are missing.
        """
        self._timer.stop()
        if self._task is not None:
            self._again = True
            return
        dependencies.ensure()
        volume, self._placement = read_node(self.volumeNode)
        layers, tables, segments, self.ids = self._read_paint()
        part = _part_around(volume, layers)
        self.error = None
        self._task = tasks.run(PREDICT, part, layers, tables, segments, self.config, wait=False,
                               inputs=(self.segmentationNode, self.volumeNode), apply=self._show, onDone=self._onDone)
        self._onChange()

    def close(self) -> None:
        """Follow no more, and take the preview away."""
        if self._observed is None:
            return
        self._timer.stop()
        self._timer.disconnect("timeout()", self._runAgain)
        for tag in self._tags:
            self._observed.RemoveObserver(tag)
        slicer.mrmlScene.RemoveObserver(self._closeTag)
        task, self._task, self._observed, self._onChange = self._task, None, None, lambda: None
        if task is not None:
            task.cancel()
        if self.node is not None and slicer.mrmlScene.IsNodePresent(self.node):
            slicer.mrmlScene.RemoveNode(self.node)
        self.node = self.result = None

    def modifiers(self, referenceMatrix: np.ndarray) -> list[tuple]:
        """(identifier, label map) of each painted structure, in the geometry of the Segment Editor.

        Args:
            referenceMatrix: 4x4, index to the segmentation node's RAS mm, of the editor's reference geometry.

        Raises:
            InputError: the segmentation's geometry is not that of the volume.
        """
        affine = local_affine(self.result.affine, self._placement)
        to_reference = np.linalg.solve(referenceMatrix, affine)
        start = np.rint(to_reference[:3, 3])
        expected = np.eye(4)
        expected[:3, 3] = start
        if not np.allclose(to_reference, expected, atol=1e-3):
            raise InputError(_("The segmentation has another geometry than the volume. Choose the volume in the "
                               "Segment Editor's specify geometry dialog, then predict again."))
        made = []
        for value, identifier in self.ids.items():
            if value not in {segment.value for segment in self.result.segments}:
                continue  # background
            image = slicer.vtkOrientedImageData()
            image_from_array((self.result.labels == value).astype(np.uint8), image)
            first = [int(n) for n in start]
            image.SetExtent([n for a in range(3) for n in (first[a], first[a] + self.result.labels.shape[a] - 1)])
            image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(np.ascontiguousarray(referenceMatrix)))
            made.append((identifier, image))
        return made

    def _onPaint(self, caller, event) -> None:
        if self.follow and (self.node is not None or self._task is not None):
            self._timer.start()

    def _onDone(self, task) -> None:
        if self._observed is None:
            return
        self._task = None
        self.error = None if isinstance(task.error, Cancelled) else task.error
        again, self._again = self._again, False
        self._onChange()
        if again:
            self._runAgain()

    def _runAgain(self) -> None:
        """Follow a stroke. What is wrong with the paint now is shown, and the next stroke may mend it."""
        try:
            self.run()
        except MedDLError as error:
            self.error = error
            self._onChange()

    def _show(self, found: Segmentation):
        """Put a prediction into the preview's node."""
        if self._observed is None:
            return None
        self.result = found
        if self.node is None or not slicer.mrmlScene.IsNodePresent(self.node):
            name = _("{name} prediction").format(name=self.segmentationNode.GetName())
            self.node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
            self.node.CreateDefaultDisplayNodes()
            self.node.GetDisplayNode().SetVisibility2DOutline(False)
            self.node.SetSaveWithScene(False)
        with slicer.util.NodeModify(self.node):
            self.node.SetAndObserveSegmentation(segmentation_content(
                found, local_affine(found.affine, self._placement)))
            self.node.SetAndObserveTransformNodeID(
                self.volumeNode.GetTransformNodeID() if self._placement.follows_parent else None)
        return self.node

    def _read_paint(self) -> tuple:
        """(layers, tables, segments, identifiers by value) of the visible segments."""
        display = self.segmentationNode.GetDisplayNode()
        layers, tables, segments, ids = [], [], [], {}
        for layer in read_layers(self.segmentationNode, self.volumeNode):
            table = {}
            for identifier, entry in zip(layer.ids, layer.labels.segments):
                if display is not None and not display.GetSegmentVisibility(identifier):
                    continue
                value = len(ids) + 1
                table[entry.value], ids[value] = value, identifier
                segments.append(Segment(value, entry.name, entry.color, entry.terminology))
            if table:
                layers.append(Volume.scalar(layer.labels.labels, layer.labels.affine))
                tables.append(table)
        if not layers:
            raise InputError(_("Nothing is painted. Paint the structure in two or three slices."))
        return tuple(layers), tuple(tables), tuple(segments), ids


def _part_around(volume: Volume, layers: tuple[Volume, ...]) -> Volume:
    """The part of a volume in which the region around the paint lies: no more has to be sent."""
    corners = []
    for layer in layers:
        there = np.argwhere(layer.data[0] > 0)
        if not len(there):
            continue
        ends = np.array([there.min(axis=0), there.max(axis=0)])
        grid = np.array(np.meshgrid(*ends.T)).reshape(3, -1)
        to_volume = np.linalg.solve(volume.affine, layer.affine)
        corners.append(to_volume[:3, :3] @ grid + to_volume[:3, 3:])
    if not corners:
        raise InputError(_("Nothing is painted. Paint the structure in two or three slices."))
    places = np.concatenate(corners, axis=1)
    low, high = places.min(axis=1), places.max(axis=1)
    margin = np.maximum(high - low, (high - low).max() / 2) + 2 * _STEP
    first = np.maximum(low - margin, 0).astype(int) // _STEP * _STEP
    last = np.minimum(np.ceil(high + margin).astype(int) // _STEP * _STEP + _STEP, volume.shape)
    if (last <= first).any():
        raise InputError(_("The paint lies outside of the volume."))
    shift = np.eye(4)
    shift[:3, 3] = first
    data = volume.data[(slice(None), *(slice(a, b) for a, b in zip(first, last)))]
    return Volume(data, volume.affine @ shift)
