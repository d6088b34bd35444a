"""slicer.app.coreIOManager(): loading and saving through slicer-core's storage nodes and logics."""

from pathlib import Path

import slicer

_TYPES = {
    "SegmentationFile": (".seg.nrrd", ".seg.nhdr", ".seg.vtm"),
    "TransformFile": (".h5", ".tfm", ".mat", ".txt.tfm"),
    "TableFile": (".csv", ".tsv"),
    "ModelFile": (".vtk", ".vtp", ".stl", ".ply", ".obj"),
    "VolumeFile": (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm"),
    "SceneFile": (".mrml", ".mrb"),
}


class CoreIOManager:
    """Reads and writes the file types that MedDL's nodes need."""

    def __init__(self, scene, logics):
        self._scene = scene
        self._logics = logics

    def fileType(self, filename):
        """The type name for a file name, "NoFile" where none fits."""
        name = str(filename).lower()
        for kind, endings in _TYPES.items():
            if name.endswith(endings):
                return kind
        return "NoFile"

    def fileWriterFileType(self, node):
        for class_name, kind in (
            ("vtkMRMLSegmentationNode", "SegmentationFile"),
            ("vtkMRMLTransformNode", "TransformFile"),
            ("vtkMRMLTableNode", "TableFile"),
            ("vtkMRMLModelNode", "ModelFile"),
            ("vtkMRMLVolumeNode", "VolumeFile"),
        ):
            if node.IsA(class_name):
                return kind
        return "NoFile"

    def loadNodes(self, file_type, properties, loaded, messages=None):
        """Load a file into the scene; adds the nodes to the collection `loaded`. True if it worked."""
        path = str(properties["fileName"])
        if not Path(path).exists():
            return False
        name = properties.get("name") or _stem(path)
        reader = {
            "VolumeFile": self._load_volume,
            "SegmentationFile": self._load_segmentation,
            "TransformFile": self._load_transform,
            "TableFile": self._load_table,
            "ModelFile": self._load_model,
            "SceneFile": self._load_scene,
        }.get(file_type)
        if reader is None:
            return False
        node = reader(path, name, properties)
        if node is None:
            return False
        if node is not True and loaded is not None:
            loaded.AddItem(node)
        return True

    def _load_volume(self, path, name, properties):
        options = 1 if properties.get("labelmap") else 0
        if properties.get("center"):
            options += 2
        if properties.get("singleFile"):
            options += 4
        node = self._logics["Volumes"].AddArchetypeVolume(path, name, options)
        if node is not None and properties.get("show", True):
            selection = self._scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
            if properties.get("labelmap"):
                selection.SetActiveLabelVolumeID(node.GetID())
            else:
                selection.SetActiveVolumeID(node.GetID())
            slicer.app.applicationLogic().PropagateVolumeSelection()
        return node

    def _load_with_storage(self, node_class, storage_class, path, name):
        storage = self._scene.AddNewNodeByClass(storage_class)
        storage.SetFileName(path)
        node = self._scene.AddNewNodeByClass(node_class, self._scene.GenerateUniqueName(name))
        if not storage.ReadData(node):
            self._scene.RemoveNode(node)
            self._scene.RemoveNode(storage)
            return None
        node.SetAndObserveStorageNodeID(storage.GetID())
        return node

    def _load_segmentation(self, path, name, properties):
        node = self._logics["Segmentations"].LoadSegmentationFromFile(path, True, name)
        if node is not None:
            node.CreateDefaultDisplayNodes()
        return node

    def _load_transform(self, path, name, properties):
        return self._logics["Transforms"].AddTransform(path, self._scene)

    def _load_table(self, path, name, properties):
        return self._logics["Tables"].AddTable(path, name)

    def _load_model(self, path, name, properties):
        return self._logics["Models"].AddModel(path)

    def _load_scene(self, path, name, properties):
        if path.endswith(".mrb"):
            return True if self._scene.ReadFromMRB(path, bool(properties.get("clear", False))) else None
        self._scene.SetURL(path)
        return True if self._scene.Import() else None

    def saveNodes(self, file_type, properties, messages=None):
        """Write a node (``nodeID``) or the scene to ``fileName``. True if it worked."""
        path = str(properties["fileName"])
        if file_type == "SceneFile" and path.endswith(".mrb"):
            return bool(self._scene.WriteToMRB(path))
        if file_type == "SceneFile":
            self._scene.SetURL(path)
            return bool(self._scene.Commit(path))
        node = self._scene.GetNodeByID(properties["nodeID"])
        if node is None:
            return False
        storage = node.GetStorageNode()
        if storage is None:
            node.AddDefaultStorageNode(path)
            storage = node.GetStorageNode()
        storage.SetFileName(path)
        if "useCompression" in properties:
            storage.SetUseCompression(int(properties["useCompression"]))
        return bool(storage.WriteData(node))


def _stem(path):
    name = Path(path).name
    for endings in _TYPES.values():
        for ending in endings:
            if name.lower().endswith(ending):
                return name[: -len(ending)]
    return Path(path).stem
