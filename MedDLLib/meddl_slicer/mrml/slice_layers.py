"""What the slice views show, remembered and brought back; two volumes faded into each other."""

import slicer

_COMPOSITE = "vtkMRMLSliceCompositeNode"


class SliceLayers:
    """The volumes in all slice views as they are now, to be brought back later."""

    def __init__(self):
        self._views = [(view.GetID(), view.GetBackgroundVolumeID(), view.GetForegroundVolumeID(),
                        view.GetForegroundOpacity()) for view in slicer.util.getNodesByClass(_COMPOSITE)]

    def restore(self, replaced) -> None:
        """Show again what was shown, in the views that still show one of the nodes `replaced` or nothing.

        Volumes that have left the scene meanwhile are left out.
        """
        gone = {None, "", *(node.GetID() for node in replaced if node is not None)}
        for identifier, background, foreground, opacity in self._views:
            view = slicer.mrmlScene.GetNodeByID(identifier)
            if view is None:
                continue
            if view.GetForegroundVolumeID() in gone:
                view.SetForegroundVolumeID(_present(foreground))
                view.SetForegroundOpacity(opacity)
            if view.GetBackgroundVolumeID() in gone:
                view.SetBackgroundVolumeID(_present(background))


def fade(before, after, fraction: float) -> None:
    """Show two volumes over each other: `fraction` 0 is `before` alone, 1 is `after` alone."""
    if any(node is None or not slicer.mrmlScene.IsNodePresent(node) for node in (before, after)):
        return
    for view in slicer.util.getNodesByClass(_COMPOSITE):
        view.SetBackgroundVolumeID(before.GetID())
        view.SetForegroundVolumeID(after.GetID())
        view.SetForegroundOpacity(fraction)


def _present(identifier):
    return identifier if identifier and slicer.mrmlScene.GetNodeByID(identifier) is not None else None
