"""Registration of many volumes of the scene: all below a folder of the subject hierarchy to one, or each follow-up to
its subject's baseline.
"""

import slicer

from meddl.core.config import RegisterConfig, registration_config
from meddl.core.errors import InputError
from meddl.jobs.pairs import follow_ups
from meddl.jobs.summary import registration_figures
from meddl_slicer.mrml.nodes import check_node
from meddl_slicer.mrml.registration_nodes import RegistrationOutputs
from meddl_slicer.runs import verbs
from meddl_slicer.runs.batch import Batch, Step
from meddl_slicer.runs.many_volumes import BranchTable, check_any, check_present, volumes_below
from meddl_slicer.runs.packages import dependencies


def register_branch(itemID: int, fixedNode=None, config: RegisterConfig | None = None, *, preset: str | None = None,
                    outputs: RegistrationOutputs | None = None, warp: bool = False, tableNode=None,
                    device: str = "auto", wait: bool = True, onProgress=None, onDone=None):
    """Register all scalar volumes below an item of the subject hierarchy, one after the other.

    What fails does not stop the rest. Warped volumes of earlier registrations are left out.

    Args:
        itemID: a folder, study or patient; the scene item for all volumes.
        fixedNode: the volume that all others are registered to. None: each follow-up is registered to its subject's
            baseline: see `pairs_below`.
        config, preset, warp, device: as in `verbs.register_nodes`.
        outputs: requested outputs of each pair besides the transform.
        tableNode: a table node to fill instead of a new one.
        wait: True: return the result; False: return a Batch, which is to the outside like a task, at once.
        onProgress, onDone: called with (fraction, stage), and the Batch.

    Returns:
        The table node, or the Batch: a row for each pair, named as the moving volume. The transforms lie beside the
        moving volumes.

    Raises:
        InputError: there is no pair, or an input that cannot be used.
    """
    config = registration_config(config, preset)
    check_node(fixedNode, "fixedNode", "vtkMRMLScalarVolumeNode")
    if outputs is not None and outputs.nodesToTransform:
        raise InputError("nodesToTransform belong to one moving volume. Leave them out to register several.")
    dependencies.ensure()
    pairs = pairs_below(itemID, fixedNode)
    check_any(pairs, itemID, "pair of volumes")

    def step(fixed, moving) -> Step:
        def start(onProgress, onDone):
            check_present([fixed, moving])
            return verbs.register_nodes(fixed, moving, config, outputs=outputs, warp=warp, device=device, wait=False,
                                        onProgress=onProgress, onDone=onDone)

        return Step(moving.GetName(), start)

    table = BranchTable(itemID, "registrations", "Transform", tableNode, figures=registration_figures)
    batch = Batch([step(*pair) for pair in pairs], table.fill, onProgress, onDone)
    return batch.result() if wait else batch


def pairs_below(itemID: int, fixedNode=None) -> list[tuple]:
    """(fixed node, moving node) of the volumes below an item of the subject hierarchy.

    Args:
        fixedNode: the fixed volume of all; None: the folders below the item are subjects (patients), those below them
            sessions (studies), and each volume is registered to the subject's first one of the same name, as
            `meddl.jobs.pairs.follow_ups` finds them; studies are in the order of their DICOM dates.
    """
    volumes = volumes_below(itemID, "register")
    if fixedNode is not None:
        return [(fixedNode, node) for _, node in volumes if node is not fixedNode]
    names = [_path_of(item, itemID) for item, _ in volumes]
    return [(volumes[first][1], volumes[later][1]) for first, later in follow_ups(names)[0]]


def _path_of(item: int, top: int) -> str:
    """The names of an item's folders below the top, and its own; that of a subject is unique."""
    hierarchy, levels = slicer.mrmlScene.GetSubjectHierarchyNode(), slicer.vtkMRMLSubjectHierarchyConstants
    parts, at, below = [], item, item
    while at and at != top:
        date = hierarchy.GetItemAttribute(at, levels.GetDICOMStudyDateAttributeName())
        parts.append(" ".join(filter(None, (date, hierarchy.GetItemName(at)))).replace("/", "_"))
        at, below = hierarchy.GetItemParent(at), at
    if hierarchy.GetItemLevel(top) == levels.GetDICOMLevelPatient():
        parts.append(str(top))
    elif len(parts) > 1:
        parts[-1] += f" {below}"
    return "/".join(reversed(parts))
