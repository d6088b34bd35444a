"""The effect's place in the Segment Editor."""

from pathlib import Path

import slicer
import vtk
from slicer.i18n import tr as _

from meddl.core.errors import InputError
from meddl_slicer.mrml.nodes import place_beside
from meddl_slicer.panels.views import segment_editor

NAME = "MedDL Predict"
PREDICTED = "MedDL.Predicted"  # attribute of segmentations that nobody has looked at: the model that made them


def register() -> None:
    """Add the effect to the Segment Editor, once; without a main window there is none."""
    factory = slicer.qSlicerSegmentEditorEffectFactory.instance()
    if slicer.util.mainWindow() is None or any(effect.name == NAME for effect in factory.registeredEffects()):
        return
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    effect = effects.qSlicerSegmentEditorScriptedEffect(None)
    effect.setPythonSource(str(Path(__file__).with_name("SegmentEditorMedDLPaintEffect.py")).replace("\\", "/"))
    effect.self().register()


def paint(volumeNode):
    """Open the Segment Editor with the effect, and with what is painted over a volume; its node is made where there is
    none. What is applied there is a training case of the section Train.

    Returns:
        The segmentation node.

    Raises:
        InputError: there is no volume.
    """
    if volumeNode is None:
        raise InputError(_("Choose the volume to paint in."))
    register()
    node = next((one for one in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if volumeNode is
                 one.GetNodeReference(one.GetReferenceImageGeometryReferenceRole())
                 and not one.GetAttribute(PREDICTED)), None)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{volumeNode.GetName()} segmentation")
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
        node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
        node.GetSegmentation().AddEmptySegment("", _("Structure"))
        place_beside(node, volumeNode)
    segment_editor.edit(node, NAME)
    return node


def matrix_of(image):
    """4x4 array, index to RAS mm of a vtkOrientedImageData."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)
