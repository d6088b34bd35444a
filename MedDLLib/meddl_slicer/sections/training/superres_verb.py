"""Training of a network of super-resolution or denoising on volumes of the scene, or on a folder."""

from dataclasses import dataclass
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from meddl.core.errors import InputError
from meddl.core.paths import cache_folder
from meddl.models.store.store import ModelStore
from meddl.training.config import SuperResTrainConfig
from meddl_slicer.mrml.nodes import read_node
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.many_volumes import volumes_below
from meddl_slicer.runs.packages import dependencies
from meddl_slicer.sections.training.curve import GAIN, fill_curve
from meddl_slicer.sections.training.superres_remote import HIGH, LOW, NamedVolume
from meddl_slicer.sections.training.verb import RUNS, ancestors

TRAIN = "meddl_slicer.sections.training.superres_remote:train"
PAIRED = ("edsr3d", "srcnn", "srresnet", "autoencoder")  # networks that learn from pairs
DENOISING = ("denoiser", "autoencoder")


@dataclass(frozen=True)
class Source:
    """What can be learned from below an item of the subject hierarchy.

    Attributes:
        name: of the item.
        item: its identifier.
        count: how many volumes, or pairs.
        pairs: whether they are pairs.
    """

    name: str
    item: int
    count: int
    pairs: bool


def train_superres_model(source: int | str | Path, *, name: str, config: SuperResTrainConfig | None = None,
                         device: str = "auto", wait: bool = True, onProgress=None, onDone=None, onPreview=None):
    """Train a network of super-resolution or denoising: `meddl.train_superres`. It is then among the installed models.

    Args:
        source: an item of the subject hierarchy: with the folders low and high in it, the volumes of the same names are
            pairs, else the volumes below it are sharp ones; or such a folder on disk.
        name: of the model.
        config, device, wait, onProgress, onDone, onPreview: as of `meddl.train_superres` and
            `meddl_slicer.runs.tasks.run`; a preview is a dictionary of the fields of
            `meddl.training.loop.TrainingFigures`.

    Returns:
        The table node with loss and gain in PSNR by step, or the Task. Its report names the model.

    Raises:
        InputError: fewer than two volumes or pairs.
    """
    nodes: dict[str, list] = {}
    if isinstance(source, int):
        low, high = _pairs(source)
        nodes = {LOW: low, HIGH: high} if low else {HIGH: _volumes(source)}
        if len(nodes[HIGH]) < 2:
            raise InputError("Two volumes are needed at least, or two pairs in the folders low and high: one to learn "
                             "from, one to measure with.")
    dependencies.ensure()
    content = str(source) if not nodes else {
        kind: [NamedVolume(node.GetName(), read_node(node)[0]) for node in found] for kind, found in nodes.items()}

    def apply(found):
        table = fill_curve(found["curve"], GAIN, _("{name} training").format(name=name))
        verbs.keep_report(table, found["report"])
        return table

    return tasks.run(TRAIN, content, name=name, config=config or SuperResTrainConfig(),
                     runs=str(cache_folder() / RUNS), cache=str(ModelStore().cache), device=device, wait=wait,
                     apply=apply, inputs=[node for found in nodes.values() for node in found], onProgress=onProgress,
                     onDone=onDone, onPreview=onPreview)


def find_sources() -> list[Source]:
    """The scene and the folders below which there are two volumes or pairs at least."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    scene = hierarchy.GetSceneItemID()
    above = {item for node in _volumes(scene) for item in ancestors(hierarchy, node)}
    found = []
    for item in (scene, *sorted(above)):
        pairs = _pairs(item)[0]
        count = len(pairs) or len(_volumes(item))
        if count > 1:
            found.append(Source(_("Whole scene") if item == scene else hierarchy.GetItemName(item), item, count,
                                bool(pairs)))
    return found


def has_pairs(folder: Path) -> bool:
    """Whether a folder on disk holds pairs."""
    return all((folder / kind).is_dir() for kind in (LOW, HIGH))


def _volumes(itemID: int) -> list:
    """The volumes below an item, without what super-resolution has made."""
    return [node for _item, node in volumes_below(itemID, "superResolve")]


def _pairs(itemID: int) -> tuple[list, list]:
    """(low, high) of the volumes of the same names in the two folders of an item; empty where it has no such ones."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    children = [hierarchy.GetItemByPositionUnderParent(itemID, place)
                for place in range(hierarchy.GetNumberOfItemChildren(itemID))]
    folders = {hierarchy.GetItemName(child).strip().casefold(): child for child in children
               if hierarchy.GetItemDataNode(child) is None}
    if not {LOW, HIGH} <= folders.keys():
        return [], []
    low, high = ({node.GetName(): node for node in _volumes(folders[kind])} for kind in (LOW, HIGH))
    names = sorted(low.keys() & high.keys())
    return [low[name] for name in names], [high[name] for name in names]
