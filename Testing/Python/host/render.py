"""Pictures of slice and 3D views, drawn by MRML's own slice logic and displayable managers, without a screen.

`slice_views` and `three_d_view` write PNG files and return the picture as an array of shape (height, width, 3), uint8,
the first row on top.
"""

import contextlib
import ctypes.util
import os
import sys
from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

# Orientation -> Slicer's default view of that name, and the color of its bar.
VIEWS = {"Axial": "Red", "Sagittal": "Yellow", "Coronal": "Green"}
BAR_COLORS = {"Red": (243, 74, 51), "Yellow": (237, 213, 76), "Green": (110, 176, 75)}
_BAR_HEIGHT = 6
_closed = []
_OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}


def supported():
    """Whether VTK can draw here: on Linux without a display it needs Mesa's EGL or OSMesa library."""
    return _window_class() != "none"


def _window_class():
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY"):
        return ""
    if ctypes.util.find_library("EGL"):
        return "vtkEGLRenderWindow"
    return "vtkOSOpenGLRenderWindow" if ctypes.util.find_library("OSMesa") else "none"


@contextlib.contextmanager
def _quiet():
    """Without VTK's warnings: a displayable manager that loses its renderer names an event twice."""
    before = vtk.vtkObject.GetGlobalWarningDisplay()
    vtk.vtkObject.GlobalWarningDisplayOff()
    try:
        yield
    finally:
        vtk.vtkObject.SetGlobalWarningDisplay(before)


def slice_view(path, orientation="Axial", **options):
    """One slice view; `options` as for `slice_views`."""
    return slice_views(path, orientations=(orientation,), **options)


def slice_views(
    path,
    background=None,
    segmentation=None,
    foreground=None,
    size=(360, 360),
    position_ras=None,
    orientations=("Axial", "Sagittal", "Coronal"),
    foreground_opacity=0.5,
    segmentation_opacity=None,
    outline_only=False,
    fit=True,
    zoom=1.0,
):
    """Draw slice views side by side and write one PNG.

    Args:
        path: PNG file to write, or None.
        background: volume node, or its ID. None keeps what the views show.
        segmentation: the only segmentation to show; None shows those that are visible in the scene.
        foreground: volume node drawn over the background with `foreground_opacity`, 0 to 1.
        size: width and height of one view in pixels.
        position_ras: point in RAS mm through which the slices go; default: the center of the segmentation,
            else of the background.
        orientations: names of slice orientations, one view each: Axial, Sagittal, Coronal.
        segmentation_opacity: fill opacity, 0 to 1; default: the display node's own.
        outline_only: draw segments as outlines.
        fit: zoom so that the background fills the view.
        zoom: above 1 comes closer, around the point.

    Raises:
        ValueError: an orientation or a size is not known, or there is nothing to show.
    """
    unknown = [name for name in orientations if name not in VIEWS]
    if unknown or not orientations:
        raise ValueError(f"Orientations must be some of {list(VIEWS)}, got {list(orientations)}")
    width, height = _checked_size(size)
    background = _node(background)
    foreground = _node(foreground)
    hidden = _show_only(segmentation)
    display = segmentation.GetDisplayNode() if segmentation is not None else None
    saved = _set_segment_display(display, segmentation_opacity, outline_only)
    try:
        tiles = []
        for orientation in orientations:
            logic = slicer.app.layoutManager().sliceWidget(VIEWS[orientation]).sliceLogic()
            _set_layers(logic, background, foreground, foreground_opacity)
            shown = background or logic.GetLayerVolumeNode(logic.LayerBackground)
            if shown is None and segmentation is None:
                raise ValueError("There is nothing to show: give a background volume or a segmentation")
            point = position_ras if position_ras is not None else _center(segmentation, shown)
            tiles.append(_draw_slice(logic, orientation, (width, height), point, fit and shown is not None, zoom))
        picture = np.concatenate(tiles, axis=1)
    finally:
        _restore_segment_display(display, saved)
        for node in hidden:
            node.SetVisibility(True)
    return _write(picture, path)


def three_d_view(
    path,
    size=(480, 480),
    segmentation=None,
    direction="anterior",
    background_colors=None,
    zoom=1.0,
):
    """Draw the 3D view and write a PNG.

    Args:
        path: PNG file to write, or None.
        size: width and height in pixels.
        segmentation: the only segmentation to show; None shows all that are visible. Only segments with a
            closed surface representation are seen, as in Slicer.
        direction: where the viewer stands: anterior, posterior, left, right, superior or inferior, or a vector
            from the center to the viewer, in RAS.
        background_colors: two RGB triples, bottom and top, 0 to 1; default: the view node's own.
        zoom: above 1 comes closer.
    """
    width, height = _checked_size(size)
    hidden = _show_only(segmentation)
    view = slicer.app.layoutManager().threeDWidget(0).mrmlViewNode()
    window, renderer, interactor = _window(width, height)
    factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
    saved = (view.GetBoxVisible(), view.GetAxisLabelsVisible())
    view.SetBoxVisible(0)
    view.SetAxisLabelsVisible(0)
    group = factory.InstantiateDisplayableManagers(renderer)
    group.SetMRMLDisplayableNode(view)
    try:
        bottom, top = background_colors or (view.GetBackgroundColor(), view.GetBackgroundColor2())
        renderer.SetBackground(bottom)
        renderer.SetBackground2(top)
        renderer.GradientBackgroundOn()
        renderer.UseFXAAOn()
        window.Render()
        _look_from(renderer, direction, zoom)
        window.Render()
        picture = _pixels(window)
    finally:
        _close(group, renderer, window, interactor)
        view.SetBoxVisible(saved[0])
        view.SetAxisLabelsVisible(saved[1])
        for node in hidden:
            node.SetVisibility(True)
    return _write(picture, path)


def _checked_size(size):
    width, height = (int(n) for n in size)
    if width < 16 or height < 16:
        raise ValueError(f"A view has at least 16 pixels a side, got {size}")
    return width, height


def _node(node):
    return slicer.mrmlScene.GetNodeByID(node) if isinstance(node, str) else node


def _show_only(segmentation):
    """Hide the other segmentations; returns the display nodes that were hidden."""
    if segmentation is None:
        return []
    if segmentation.GetDisplayNode() is None:
        segmentation.CreateDefaultDisplayNodes()
    hidden = []
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationDisplayNode"):
        if node.GetDisplayableNode() is not segmentation and node.GetVisibility():
            node.SetVisibility(False)
            hidden.append(node)
    return hidden


def _set_segment_display(display, opacity, outline_only):
    if display is None:
        return None
    saved = (display.GetOpacity2DFill(), display.GetVisibility2DFill())
    if opacity is not None:
        display.SetOpacity2DFill(opacity)
    if outline_only:
        display.SetVisibility2DFill(False)
    return saved


def _restore_segment_display(display, saved):
    if display is not None and saved is not None:
        display.SetOpacity2DFill(saved[0])
        display.SetVisibility2DFill(saved[1])


def _set_layers(logic, background, foreground, opacity):
    composite = logic.GetSliceCompositeNode()
    if background is not None:
        composite.SetBackgroundVolumeID(background.GetID())
        composite.SetForegroundVolumeID(foreground.GetID() if foreground is not None else None)
        composite.SetLabelVolumeID(None)
    if foreground is not None:
        composite.SetForegroundVolumeID(foreground.GetID())
        composite.SetForegroundOpacity(opacity)


def _center(segmentation, volume):
    bounds = [0.0] * 6
    if segmentation is not None:
        segmentation.GetRASBounds(bounds)
        if bounds[1] >= bounds[0]:
            return [(bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)]
    volume.GetRASBounds(bounds)
    return [(bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)]


def _window(width, height):
    kind = _window_class()
    if kind == "none":
        raise RuntimeError("VTK cannot draw here: install Mesa's libegl1 or libosmesa6")
    if kind:
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", kind)
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(width, height)
    renderer = vtk.vtkRenderer()
    window.AddRenderer(renderer)
    interactor = vtk.vtkGenericRenderWindowInteractor()
    interactor.SetRenderWindow(window)
    return window, renderer, interactor


def _draw_slice(logic, orientation, size, point, fit, zoom):
    width, height = size
    node = logic.GetSliceNode()
    node.SetOrientation(orientation)
    logic.ResizeSliceNode(width, height)
    if fit:
        logic.FitSliceToBackground()
    point = [float(value) for value in point]
    if zoom != 1.0:
        x, y, z = node.GetFieldOfView()
        node.SetFieldOfView(x / zoom, y / zoom, z)
        node.JumpSliceByCentering(*point)
    node.JumpSliceByOffsetting(*point)
    window, renderer, interactor = _window(width, height)
    mapper = vtk.vtkImageMapper()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    actor = vtk.vtkActor2D()
    actor.SetMapper(mapper)
    actor.GetProperty().SetDisplayLocationToBackground()
    renderer.AddViewProp(actor)  # before the managers' actors: segments are blended over what is drawn so far
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    group = factory.InstantiateDisplayableManagers(renderer)
    group.SetMRMLDisplayableNode(node)
    try:
        logic.UpdatePipeline()
        connection = logic.GetImageDataConnection()
        if connection is not None:
            mapper.SetInputConnection(connection)
        else:
            renderer.RemoveViewProp(actor)
        for label in _edge_labels(node, width, height):
            renderer.AddViewProp(label)
        renderer.SetBackground(0, 0, 0)
        window.Render()
        picture = _pixels(window)
    finally:
        _close(group, renderer, window, interactor)
    picture = picture.copy()
    picture[:_BAR_HEIGHT] = BAR_COLORS[VIEWS[orientation]]
    return picture


def _edge_labels(node, width, height):
    """Letters R, L, A, P, S, I at the edges of a slice, from its directions in RAS."""
    matrix = node.GetSliceToRAS()
    right = [matrix.GetElement(row, 0) for row in range(3)]
    up = [matrix.GetElement(row, 1) for row in range(3)]
    margin = 6
    places = (
        (_letter(right), width - margin, height // 2, "right", "center"),
        (_OPPOSITE[_letter(right)], margin, height // 2, "left", "center"),
        (_letter(up), width // 2, height - _BAR_HEIGHT - margin, "center", "top"),
        (_OPPOSITE[_letter(up)], width // 2, margin, "center", "bottom"),
    )
    for text, x, y, across, along in places:
        actor = vtk.vtkTextActor()
        actor.SetInput(text)
        style = actor.GetTextProperty()
        style.SetFontSize(14)
        style.BoldOn()
        style.SetColor(1, 1, 1)
        style.ShadowOn()
        {"left": style.SetJustificationToLeft, "right": style.SetJustificationToRight}.get(
            across, style.SetJustificationToCentered
        )()
        {"top": style.SetVerticalJustificationToTop, "bottom": style.SetVerticalJustificationToBottom}.get(
            along, style.SetVerticalJustificationToCentered
        )()
        actor.SetPosition(x, y)
        yield actor


def _letter(direction):
    axis = int(np.argmax(np.abs(direction)))
    return ("RAS" if direction[axis] > 0 else "LPI")[axis]


_DIRECTIONS = {
    "right": (1, 0, 0),
    "left": (-1, 0, 0),
    "anterior": (0, 1, 0),
    "posterior": (0, -1, 0),
    "superior": (0, 0, 1),
    "inferior": (0, 0, -1),
}


def _look_from(renderer, direction, zoom):
    vector = np.asarray(_DIRECTIONS.get(direction, direction) if isinstance(direction, str) else direction, float)
    vector = vector / np.linalg.norm(vector)
    camera = renderer.GetActiveCamera()
    bounds = renderer.ComputeVisiblePropBounds()
    if bounds[1] < bounds[0]:
        bounds = (-100, 100, -100, 100, -100, 100)
    center = np.array([(bounds[0] + bounds[1]) / 2, (bounds[2] + bounds[3]) / 2, (bounds[4] + bounds[5]) / 2])
    camera.SetFocalPoint(center)
    camera.SetPosition(center + vector)
    camera.SetViewUp((0, 1, 0) if abs(vector[2]) > 0.9 else (0, 0, 1))
    renderer.ResetCamera(bounds)
    _fill_view(renderer, bounds, zoom)
    renderer.ResetCameraClippingRange()


def _fill_view(renderer, bounds, zoom):
    """Set the view angle so that the projected box of the bounds takes nine tenths of the view."""
    camera = renderer.GetActiveCamera()
    matrix = slicer.util.arrayFromVTKMatrix(
        camera.GetCompositeProjectionTransformMatrix(renderer.GetTiledAspectRatio(), -1, 1)
    )
    corners = np.array(np.meshgrid(bounds[0:2], bounds[2:4], bounds[4:6])).reshape(3, -1)
    projected = matrix @ np.vstack([corners, np.ones(corners.shape[1])])
    extent = np.abs(projected[:2] / projected[3]).max()
    half = np.tan(np.radians(camera.GetViewAngle() / 2)) * extent / (0.9 * zoom)
    camera.SetViewAngle(float(np.degrees(2 * np.arctan(half))))


def _pixels(window):
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.SetInputBufferTypeToRGB()
    grab.ReadFrontBufferOff()
    grab.Update()
    image = grab.GetOutput()
    width, height, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)
    return pixels[::-1].copy()


def _close(group, renderer, window, interactor):
    """Let the managers go of the scene, so that no view stays behind that follows it.

    They live on, since the interaction node holds them, and ask their renderer for its window whenever place mode
    changes: both stay, without what they drew.
    """
    with _quiet():
        group.SetMRMLDisplayableNode(None)
    renderer.RemoveAllViewProps()
    window.Finalize()
    _closed.append((renderer, window, interactor))


def _write(picture, path):
    if path is None:
        return picture
    from PySide6 import QtGui

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, _ = picture.shape
    data = np.ascontiguousarray(picture)
    image = QtGui.QImage(data.data, width, height, 3 * width, QtGui.QImage.Format_RGB888)
    if not image.save(str(path)):
        raise OSError(f"The picture could not be written to {path}")
    return picture
