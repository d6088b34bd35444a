"""Training of a model on the pairs of volume and segmentation of the scene, or on a folder."""

from collections.abc import Sequence
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from meddl.core.errors import InputError
from meddl.core.paths import cache_folder
from meddl.models.store.store import ModelStore
from meddl.training.config import TrainConfig
from meddl_slicer.mrml.nodes import is_label_map, is_plain_volume, read_node
from meddl_slicer.mrml.registration_nodes import label_map_of
from meddl_slicer.mrml.segment_layers import read_layers
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.packages import dependencies
from meddl_slicer.sections.comparison.remote import Layers
from meddl_slicer.sections.comparison.verb import is_labels, nodes_below
from meddl_slicer.sections.painting.registration import PREDICTED
from meddl_slicer.sections.training.curve import DICE, fill_curve
from meddl_slicer.sections.training.remote import Pair

TRAIN = "meddl_slicer.sections.training.remote:train"
RUNS = "Trainings"  # folder of the runs, in that of the cache


def train_model(source: int | str | Path, *, name: str, config: TrainConfig | None = None,
                structures: Sequence[str] = (), device: str = "auto", wait: bool = True, onProgress=None,
                onDone=None, onPreview=None):
    """Train a segmentation model: `meddl.train`. It is then among the installed models.

    Args:
        source: an item of the subject hierarchy, below which each volume that has a segmentation over it, or of its
            name, is a case; or the folder of a data set.
        name: of the model.
        structures: names of the segments to learn, where the cases lie in the scene; default: all.
        config, device, wait, onProgress, onDone, onPreview: as of `meddl.train` and `meddl_slicer.runs.tasks.run`;
            a preview is a dictionary of the fields of `meddl.training.loop.TrainingFigures`.

    Returns:
        The table node with loss and validation Dice by step, or the Task. Its report names the model.

    Raises:
        InputError: fewer than two cases, or a segmentation that cannot be read.
    """
    if isinstance(source, int):
        pairs = pairs_below(source)
        if len(pairs) < 2:
            raise InputError("Two volumes with segmentations are needed at least. Give a segmentation the name of its "
                             "volume, or choose the volume as its source geometry.")
    dependencies.ensure()
    content = [read_pair(*pair) for pair in pairs] if isinstance(source, int) else str(source)
    nodes = [node for pair in pairs for node in pair] if isinstance(source, int) else []

    def apply(found):
        table = fill_curve(found["curve"], DICE, _("{name} training").format(name=name))
        verbs.keep_report(table, found["report"])
        return table

    return tasks.run(TRAIN, content, name=name, config=config or TrainConfig(), structures=tuple(structures),
                     runs=str(cache_folder() / RUNS), cache=str(ModelStore().cache), device=device, wait=wait,
                     apply=apply, inputs=nodes, onProgress=onProgress, onDone=onDone, onPreview=onPreview)


def pairs_below(itemID: int) -> list[tuple]:
    """(volume, labels) of what lies below an item of the subject hierarchy: a segmentation belongs to the volume that
    it was painted over, else, as a label map, to the one of its name. Predictions that nobody has looked at do not
    count."""
    nodes = [node for node in nodes_below(itemID) if not node.GetAttribute(PREDICTED)]
    volumes = [node for node in nodes if is_plain_volume(node) and not is_label_map(node)]
    pairs = []
    for volume in volumes:
        found = next((node for node in nodes if is_labels(node) and _belongs(node, volume)), None)
        if found is not None:
            pairs.append((volume, found))
    return pairs


def folders_with_pairs() -> list[tuple[str, int, int]]:
    """(name, item, number of cases) of the scene and of each folder below which there are two at least."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    scene = hierarchy.GetSceneItemID()
    items, parents = [scene], {volume_parent for volume, _labels in pairs_below(scene)
                               for volume_parent in ancestors(hierarchy, volume)}
    items += sorted(parents)
    counted = [(hierarchy.GetItemName(item), item, len(pairs_below(item))) for item in items]
    return [(name if item != scene else _("Whole scene"), item, count) for name, item, count in counted if count > 1]


def ancestors(hierarchy, node) -> set[int]:
    """The items above a node's, without the scene's."""
    found, item = set(), hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
    while item and item != hierarchy.GetSceneItemID():
        found.add(item)
        item = hierarchy.GetItemParent(item)
    return found


def _belongs(node, volume) -> bool:
    if node.IsA("vtkMRMLSegmentationNode"):
        painted = node.GetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole())
        if painted and slicer.mrmlScene.GetNodeByID(painted) is not None:
            return painted == volume.GetID()
    return node.GetName() in (volume.GetName(), f"{volume.GetName()}-label", f"{volume.GetName()} segmentation")


def read_pair(volumeNode, labelNode) -> Pair:
    """A pair of `pairs_below` for the worker."""
    volume, _placement = read_node(volumeNode)
    layers = ((label_map_of(labelNode),) if is_label_map(labelNode) else
              tuple(layer.labels for layer in read_layers(labelNode, volumeNode)))
    return Pair(volumeNode.GetName(), volume, Layers(layers, volume.grid, labelNode.GetName()))
