"""slicer.app.layoutManager(): the slice logics and view nodes behind small view objects."""

import slicer


class SliceWidget:
    """One slice view: its logic and nodes; drawn on demand by `host.render`."""

    def __init__(self, name, logic):
        self._name = name
        self._logic = logic

    def sliceLogic(self):
        return self._logic

    def mrmlSliceNode(self):
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        return self._logic.GetSliceCompositeNode()

    def sliceView(self):
        return self

    def sliceController(self):
        return self

    def fitSliceToBackground(self):
        self._logic.FitSliceToBackground()

    def forceRender(self):
        slicer.app.processEvents()

    scheduleRender = forceRender


class ThreeDWidget:
    """The 3D view: its node; drawn on demand by `host.render`."""

    def __init__(self, logic):
        self._logic = logic

    def threeDView(self):
        return self

    def threeDController(self):
        return self

    def viewLogic(self):
        return self._logic

    def mrmlViewNode(self):
        return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLViewNode")

    def resetFocalPoint(self):
        """Nothing to do: each picture is centered on what is shown."""

    def resetCamera(self, *args):
        """Nothing to do: each picture is centered on what is shown."""

    def forceRender(self):
        slicer.app.processEvents()

    scheduleRender = forceRender


class LayoutManager:
    """Slice views Red, Green and Yellow and one 3D view."""

    threeDViewCount = 1
    tableViewCount = 0
    plotViewCount = 0

    def __init__(self, services):
        self._services = services
        self._slices = {name: SliceWidget(name, logic) for name, logic in services.slice_logic_by_name.items()}
        self._three_d = ThreeDWidget(services.view_logic)

    def sliceViewNames(self):
        return tuple(self._slices)

    def sliceWidget(self, name):
        return self._slices.get(name)

    def threeDWidget(self, index):
        return self._three_d if index in (0, "View1") else None

    def mrmlSliceLogics(self):
        return self._services.slice_logics

    def mrmlViewLogics(self):
        return self._services.view_logics

    def layoutLogic(self):
        return self._services.layout_logic

    def setLayout(self, layout):
        self._services.layout_logic.GetLayoutNode().SetViewArrangement(layout)

    @property
    def layout(self):
        return self._services.layout_logic.GetLayoutNode().GetViewArrangement()

    def resetSliceViews(self):
        for widget in self._slices.values():
            widget.sliceLogic().FitSliceToAll()

    def resetThreeDViews(self):
        self._three_d.resetFocalPoint()
