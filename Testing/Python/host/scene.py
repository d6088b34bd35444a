"""The MRML scene with what the application sets up around it: logics, view nodes, subject hierarchy."""

import colorsys

import slicer
import vtk

# Module name -> logic class of slicer-core.
LOGIC_CLASSES = {
    "Colors": "vtkSlicerColorLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Data": "vtkSlicerDataModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "SceneViews": "vtkSlicerSceneViewsModuleLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Units": "vtkSlicerUnitsLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "Volumes": "vtkSlicerVolumesLogic",
}

_GENERIC_COLORS = 2100

SLICE_VIEWS = ("Red", "Green", "Yellow")

_THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
)
_SLICE_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
)

# Data nodes that Slicer's subject hierarchy plugins take into the tree.
_TREE_CLASSES = (
    "vtkMRMLVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLTransformNode",
    "vtkMRMLModelNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLTableNode",
    "vtkMRMLTextNode",
    "vtkMRMLPlotChartNode",
    "vtkMRMLPlotSeriesNode",
    "vtkMRMLSequenceNode",
    "vtkMRMLCameraNode",
    "vtkMRMLSceneViewNode",
)


def _add_generic_colors(scene):
    """The table that label maps take their colors from; its file comes with the application only."""
    table = scene.CreateNodeByClass("vtkMRMLColorTableNode")
    table.UnRegister(None)
    table.SetName("GenericColors")
    table.SetSingletonTag("FileGenericColors.txt")
    table.SetTypeToUser()
    table.SetHideFromEditors(False)
    table.SetNumberOfColors(_GENERIC_COLORS)
    table.SetColor(0, "background", 0.0, 0.0, 0.0, 0.0)
    for index in range(1, _GENERIC_COLORS):
        hue = index * 0.618034 % 1.0
        saturation, value = (0.55, 0.8, 0.65)[index % 3], (0.95, 0.75, 0.85, 0.6)[index % 4]
        table.SetColor(index, f"label {index}", *colorsys.hsv_to_rgb(hue, saturation, value), 1.0)
    scene.AddNode(table)


class SceneServices:
    """One scene with its application logic, module logics, slice logics and subject hierarchy.

    Views, their nodes and logics belong to the layout manager: without `views` there are none.
    """

    def __init__(self, temporary_path, cache_path, views):
        quiet = vtk.vtkObject.GetGlobalWarningDisplay()
        # The terminologies logic looks for files that the application installs and slicer-core does not.
        vtk.vtkObject.GlobalWarningDisplayOff()
        try:
            self._build(temporary_path, cache_path, views)
        finally:
            vtk.vtkObject.SetGlobalWarningDisplay(quiet)

    def _build(self, temporary_path, cache_path, views):
        self.scene = slicer.vtkMRMLScene()
        self._add_cache(cache_path)
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self.application_logic.SetTemporaryPath(str(temporary_path))
        self.application_logic.SetMRMLScene(self.scene)
        self._set_up_files(temporary_path)
        self.color_logic = slicer.vtkMRMLColorLogic()
        self.color_logic.SetMRMLScene(self.scene)
        self.color_logic.AddDefaultColorNodes()
        self.application_logic.SetColorLogic(self.color_logic)
        _add_generic_colors(self.scene)
        self.logics = {}
        for name, class_name in LOGIC_CLASSES.items():
            logic = getattr(slicer, class_name)()
            logic.SetMRMLApplicationLogic(self.application_logic)
            self.application_logic.SetModuleLogic(name, logic)
            self.logics[name] = logic
        for logic in self.logics.values():
            logic.SetMRMLScene(self.scene)
        if views:
            self._add_views()
        self._tags = self._follow_subject_hierarchy()

    def _add_cache(self, path):
        """Where the scene keeps what was downloaded."""
        self.remote_io = slicer.vtkMRMLRemoteIOLogic()
        self.remote_io.GetCacheManager().SetRemoteCacheDirectory(str(path))
        self.scene.SetCacheManager(self.remote_io.GetCacheManager())

    def _add_views(self):
        self._register_displayable_managers()
        self.layout_logic = slicer.vtkMRMLLayoutLogic()
        self.layout_logic.SetMRMLApplicationLogic(self.application_logic)
        self.layout_logic.SetMRMLScene(self.scene)
        self._add_slice_logics()

    def _set_up_files(self, folder):
        """What scene bundles are unpacked with."""
        self._cache, self._files = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
        self._cache.SetRemoteCacheDirectory(str(folder))
        self._cache.SetMRMLScene(self.scene)
        self._files.SetCacheManager(self._cache)
        self.scene.SetCacheManager(self._cache)
        self.scene.SetDataIOManager(self._files)

    def _register_displayable_managers(self):
        for factory, names in (
            (slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), _THREE_D_MANAGERS),
            (slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), _SLICE_MANAGERS),
        ):
            factory.SetMRMLApplicationLogic(self.application_logic)
            for name in names:
                if not factory.IsDisplayableManagerRegistered(name):
                    factory.RegisterDisplayableManager(name)

    def _add_slice_logics(self):
        self.slice_logics = vtk.vtkCollection()
        self.view_logics = vtk.vtkCollection()
        self.slice_logic_by_name = {}
        for name in SLICE_VIEWS:
            node = self.scene.GetNodeByID(f"vtkMRMLSliceNode{name}")
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLApplicationLogic(self.application_logic)
            logic.SetMRMLScene(self.scene)
            logic.SetSliceNode(node)
            self.slice_logics.AddItem(logic)
            self.slice_logic_by_name[name] = logic
        self.application_logic.SetSliceLogics(self.slice_logics)
        self.view_logic = slicer.vtkMRMLViewLogic()
        self.view_logic.SetMRMLApplicationLogic(self.application_logic)
        self.view_logic.SetMRMLScene(self.scene)
        view_node = self.scene.GetFirstNodeByClass("vtkMRMLViewNode")
        if hasattr(self.view_logic, "SetViewNode"):
            self.view_logic.SetViewNode(view_node)
        self.view_logics.AddItem(self.view_logic)
        self.application_logic.SetViewLogics(self.view_logics)

    # Subject hierarchy: in Slicer this is the work of Qt plugins.

    def _follow_subject_hierarchy(self):
        scene = self.scene

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def added(caller, event, node):
            if scene.IsImporting() or scene.IsBatchProcessing():
                return
            self._add_to_tree(node)

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def about_to_be_removed(caller, event, node):
            if scene.IsClosing() or node is None or node.IsA("vtkMRMLSubjectHierarchyNode"):
                return
            tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
            item = tree.GetItemByDataNode(node)
            if item:
                tree.RemoveItem(item, False, False)

        def resolve(caller, event):
            slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
            self._add_all_to_tree()

        def closed(caller, event):
            slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)

        slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
        return [
            scene.AddObserver(scene.NodeAddedEvent, added),
            scene.AddObserver(scene.NodeAboutToBeRemovedEvent, about_to_be_removed),
            scene.AddObserver(scene.EndImportEvent, resolve, 10.0),
            scene.AddObserver(scene.EndBatchProcessEvent, resolve, 10.0),
            scene.AddObserver(scene.EndCloseEvent, closed),
        ]

    def _add_to_tree(self, node):
        if node is None or node.GetHideFromEditors() or not any(node.IsA(c) for c in _TREE_CLASSES):
            return
        tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.scene)
        if not tree.GetItemByDataNode(node):
            tree.CreateItem(tree.GetSceneItemID(), node)

    def _add_all_to_tree(self):
        if self.scene.IsClosing():
            return
        for index in range(self.scene.GetNumberOfNodes()):
            self._add_to_tree(self.scene.GetNthNode(index))
