"""The effect's place in the Segment Editor."""

from pathlib import Path

import slicer
import vtk

NAME = "MedDL Predict"


def register() -> None:
    """Add the effect to the Segment Editor, once; without a main window there is none."""
    factory = slicer.qSlicerSegmentEditorEffectFactory.instance()
    if slicer.util.mainWindow() is None or any(effect.name == NAME for effect in factory.registeredEffects()):
        return
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    effect = effects.qSlicerSegmentEditorScriptedEffect(None)
    effect.setPythonSource(str(Path(__file__).with_name("SegmentEditorMedDLPaintEffect.py")).replace("\\", "/"))
    effect.self().register()


def matrix_of(image):
    """4x4 array, index to RAS mm of a vtkOrientedImageData."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)
