"""The three verbs on nodes: read the nodes, run in the worker, make the result nodes.

Each takes `wait` (True: return the result node; False: return a Task at once), `onProgress(fraction, stage)`,
`onDone(task)` and `onPreview(value)`, and raises or ends as `tasks.run` says. Output nodes left out are made new. The
report of a run is kept as JSON in the attribute `MedDL.Report` of its result node. Python packages that are missing are
offered first, as `dependencies.ensure` does; it raises DependencyError where they are not installed.
"""

import json

import slicer

from meddl.core.config import (
    INTERPOLATIONS,
    RegisterConfig,
    SegmentConfig,
    SuperResolveConfig,
    check_config,
    registration_config,
)
from meddl.core.errors import InputError
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.channels import other_nodes, read_others
from meddl_slicer.mrml.nodes import Placement, check_node, place_beside, put_volume, read_node
from meddl_slicer.mrml.registration_nodes import (
    WARPED_ROLE,
    RegistrationInputs,
    RegistrationOutputs,
    initial_of,
    put_results,
    requested_outputs,
)
from meddl_slicer.mrml.roi import read_roi
from meddl_slicer.mrml.segmentations import create_confidence_node, create_segmentation_node
from meddl_slicer.mrml.sequences import (
    fill_transform_sequence,
    fill_volume_sequence,
    show_in_step,
    volumes_from_sequence,
)
from meddl_slicer.mrml.tables import create_volume_table
from meddl_slicer.mrml.transforms import fill_transform_node, is_under
from meddl_slicer.runs import tasks
from meddl_slicer.runs.packages import dependencies

SEGMENT = "meddl_slicer.runs.remote:segment"
REGISTER = "meddl_slicer.runs.remote:register"
REGISTER_SERIES = "meddl_slicer.runs.remote:register_series"
SUPER_RESOLVE = "meddl_slicer.runs.remote:super_resolve"

REPORT_ATTRIBUTE = "MedDL.Report"
TABLE_ROLE = "MedDL.VolumeTable"
CONFIDENCE_ROLE = "MedDL.Confidence"
INVENTED_ROLE = "MedDL.Invented"  # also the attribute of a volume that is invented as a whole
# What the name of a result ends in, by method; "sharp" for all others.
_SUFFIXES = {"srgan": "SRGAN (texture invented)", "denoise": "denoised", "denoise-autoencoder": "denoised",
             "denoise-self-supervised": "denoised"}


def document_as(function):
    """Decorator: a method of a module's logic has the docstring of the function that does its work."""
    def decorate(method):
        method.__doc__ = function.__doc__
        return method
    return decorate


def segment_node(volumeNode, model: str = "brain", config: SegmentConfig | None = None, *, otherNodes=None,
                 segmentationNode=None, show3D: bool = False, device: str = "auto", wait: bool = True, onProgress=None,
                 onDone=None, onPreview=None, roiNode=None):
    """Segment a volume node.

    Args:
        volumeNode: a scalar volume node, under any parent transform.
        model: identifier of an installed model.
        config: choices of `meddl.segment`; with `confidence`, a confidence volume is made too.
        otherNodes: further volume nodes of a model that takes several, where they are seen: in the model's order after
            the first, or by the name of their channel. They are resampled to the first one.
        roiNode: a markups ROI, segmentation or label map: what lies outside of it is background; see `roi.read_roi`.
        segmentationNode: a node to fill instead of a new one.
        show3D: make surfaces and show them.
        device: "auto", "cpu", "cuda", "mps".
        wait: True: return the result; False: return a task with progress, cancel() and result() at once.
        onProgress, onDone, onPreview: called with (fraction, stage), the task, and what is known of the result.

    Returns:
        The segmentation node, or the Task. The table of volumes and the confidence volume are its node
        references `TABLE_ROLE` and `CONFIDENCE_ROLE`.

    Raises:
        InputError, GeometryError: a node of another kind, or a volume that cannot be segmented.
        ModelNotFoundError, ModelError: the model cannot be used.
        DependencyError: Python packages are missing and were not installed.
        OutOfMemoryError, WorkerError: the run failed.
        Cancelled: it was stopped.
    """
    config = check_config(config, SegmentConfig)
    check_node(segmentationNode, "segmentationNode", "vtkMRMLSegmentationNode")
    dependencies.ensure()
    volume, placement = read_node(volumeNode)
    others = {"others": read_others(volumeNode, otherNodes)} if otherNodes else {}
    if roiNode is not None:
        others["roi"] = read_roi(roiNode, volumeNode)

    def apply(result):
        segmentation, surfaces = result
        node = create_segmentation_node(segmentation, volumeNode, placement=placement, surfaces=surfaces,
                                        node=_if_present(segmentationNode))
        _add_companions(node, segmentation, volumeNode, placement)
        keep_report(node, {**segmentation.report, "warnings": [
            *invented_warnings((volumeNode, *other_nodes(otherNodes))), *segmentation.report.get("warnings", ())]})
        return node

    return tasks.run(SEGMENT, volume, model, config, device=device,
                     surfaces=placement.local_affine if show3D else None, wait=wait, apply=apply,
                     inputs=(volumeNode, *other_nodes(otherNodes)), onProgress=onProgress, onDone=onDone,
                     onPreview=onPreview, **others)


def register_nodes(fixedNode, movingNode, config: RegisterConfig | None = None, *, preset: str | None = None,
                   inputs: RegistrationInputs | None = None, outputs: RegistrationOutputs | None = None,
                   transformNode=None, warpedNode=None, warp: bool = False, device: str = "auto", wait: bool = True,
                   onProgress=None, onDone=None, onPreview=None):
    """Register one volume node to another, both in world space.

    Args:
        fixedNode, movingNode: scalar or label map volume nodes, under any parent transforms.
        config: choices of `meddl.register`.
        preset: the name of a preset in any case, instead of `config`.
        inputs: masks, initial transform, landmarks, segmentations.
        outputs: requested outputs besides the transform.
        transformNode: a node to fill instead of a new one; it must not move an input.
        warpedNode: a volume node for the moving volume on the fixed grid.
        warp: make such a node where none is given.
        device: "auto", "cpu", "cuda", "mps".
        wait: True: return the result; False: return a task with progress, cancel() and result() at once.
        onProgress, onDone, onPreview: called with (fraction, stage), the task, and what is known of the result.

    Returns:
        The transform node, or the Task. The node transforms from world to world and has no parent. The other
        outputs are its node references: see `registration_nodes`, whose `undo` takes everything away.

    Raises:
        InputError, GeometryError: an input that cannot be used, such as one volume as both.
        DependencyError: Python packages are missing and were not installed.
        OutOfMemoryError, WorkerError: the run failed.
        Cancelled: it was stopped.
    """
    config = registration_config(config, preset)
    if fixedNode is not None and fixedNode is movingNode:
        raise InputError(f"'{fixedNode.GetName()}' would be registered to itself. Choose two volumes.")
    check_node(transformNode, "transformNode", "vtkMRMLTransformNode")
    check_node(warpedNode, "warpedNode", "vtkMRMLVolumeNode")
    if warpedNode is not None and warpedNode in (fixedNode, movingNode):
        raise InputError(f"'{warpedNode.GetName()}' is an input. Choose another volume to fill, or none.")
    dependencies.ensure()
    inputs, outputs = inputs or RegistrationInputs(), outputs or RegistrationOutputs()
    for node in (fixedNode, movingNode, *inputs.nodes, *outputs.nodesToTransform):
        if transformNode is not None and (node is transformNode or is_under(node, transformNode)):
            raise InputError(f"The transform '{transformNode.GetName()}' moves '{node.GetName()}', which is an input. "
                             "Choose another transform to fill, or none.")
    fixed, placement = read_node(fixedNode)
    moving, _ = read_node(movingNode)
    requested, along = requested_outputs(inputs, outputs, fixedNode, movingNode, warp or warpedNode is not None)

    def apply(results):
        node = fill_transform_node(results.field, results.matrix, f"{movingNode.GetName()} to {fixedNode.GetName()}",
                                   _if_present(transformNode))
        place_beside(node, movingNode)
        put_results(node, results, along, outputs, fixedNode, movingNode, placement, _if_present(warpedNode))
        keep_report(node, results.report)
        return node

    return tasks.run(REGISTER, fixed, moving, config, requested=requested,
                     initial=initial_of(inputs, movingNode), device=device, wait=wait, apply=apply,
                     inputs=(fixedNode, movingNode, *inputs.nodes, *outputs.nodesToTransform), onProgress=onProgress,
                     onDone=onDone, onPreview=onPreview)


def register_sequence(sequenceNode, config: RegisterConfig | None = None, *, preset: str | None = None,
                      reference: int | str = 0, transformSequence=None, correctedSequence=None,
                      interpolation: str = INTERPOLATIONS[0], device: str = "auto", wait: bool = True,
                      onProgress=None, onDone=None, onPreview=None):
    """Motion correction: register the frames of a volume sequence, and resample them.

    Args:
        sequenceNode: a sequence of scalar volumes on one grid.
        config: choices of `meddl.register`; default: the preset "Time series".
        preset: the name of a preset in any case, instead of `config`.
        reference: the frame to register to, from 0, or "mean": see `meddl.register_series`.
        transformSequence, correctedSequence: sequence nodes to fill instead of new ones; never the input itself.
        interpolation: of the corrected frames, one of `meddl.core.config.INTERPOLATIONS`.
        device: "auto", "cpu", "cuda", "mps".
        wait: True: return the result; False: return a task with progress, cancel() and result() at once.
        onProgress, onDone, onPreview: called with (fraction, stage), the task, and what is known of the result.

    Returns:
        The sequence of transforms, or the Task: under its transforms the frames lie on the reference. It has the index
        values of the input; its node reference WARPED_ROLE is the corrected volume sequence. Both are in the browser of
        the input, a new one where it has none. `registration_nodes.undo` takes them away.

    Raises:
        InputError: an input that cannot be used.
        DependencyError: Python packages are missing and were not installed.
        OutOfMemoryError, WorkerError: the run failed.
        Cancelled: it was stopped.
    """
    config = registration_config(config, preset, "Time series")
    dependencies.ensure()
    for node in (transformSequence, correctedSequence):
        if node is not None and (node is sequenceNode or transformSequence is correctedSequence):
            raise InputError(f"'{node.GetName()}' would be filled twice or is the input. Choose another sequence to "
                             "fill, or none.")
    frames = volumes_from_sequence(sequenceNode)

    def apply(results):
        name = sequenceNode.GetName()
        node = fill_transform_sequence(results.maps, sequenceNode, f"{name} motion", _if_present(transformSequence))
        corrected = fill_volume_sequence(results.corrected, sequenceNode, f"{name} corrected",
                                         _if_present(correctedSequence))
        node.SetNodeReferenceID(WARPED_ROLE, corrected.GetID())
        show_in_step(sequenceNode, (node, corrected))
        keep_report(node, results.report)
        return node

    return tasks.run(REGISTER_SERIES, frames, config, reference=reference,
                     interpolation=interpolation, device=device, wait=wait, apply=apply, inputs=(sequenceNode,),
                     onProgress=onProgress, onDone=onDone, onPreview=onPreview)


def super_resolve_node(volumeNode, config: SuperResolveConfig | None = None, *, otherNodes=(), outputNode=None,
                       referenceNode=None, device: str = "auto", wait: bool = True, onProgress=None, onDone=None,
                       onPreview=None):
    """Make a volume node's voxels smaller over the same field of view, or one volume of several stacks.

    Args:
        volumeNode: a scalar volume node, under any parent transform.
        config: choices of `meddl.super_resolve`.
        otherNodes: further stacks of the same subject, in other directions: the result is one isotropic volume of all.
        outputNode: a volume node to fill instead of a new one; never the input itself.
        referenceNode: a high-resolution volume node, where there is one, to compare the result with.
        device: "auto", "cpu", "cuda", "mps".
        wait: True: return the result; False: return a task with progress, cancel() and result() at once.
        onProgress, onDone, onPreview: called with (fraction, stage), the task, and what is known of the result.

    Returns:
        The volume node, or the Task. What SRGAN added is its node reference INVENTED_ROLE, in units of the noise.

    Raises:
        InputError: a node of another kind, the input as output or reference, or a volume that cannot be sharpened.
        DependencyError: Python packages are missing and were not installed.
        OutOfMemoryError, WorkerError: the run failed.
        Cancelled: it was stopped.
    """
    config = check_config(config, SuperResolveConfig)
    nodes = (volumeNode, *otherNodes)
    check_node(outputNode, "outputNode", "vtkMRMLVolumeNode", nodes)
    if len(set(nodes)) < len(nodes):
        raise InputError("A volume is given twice. Several stacks are different volumes.")
    if referenceNode is not None and referenceNode is volumeNode:
        raise InputError(f"'{volumeNode.GetName()}' would be compared with itself. Choose another reference, or none.")
    dependencies.ensure()
    volume, placement = read_node(volumeNode)
    volumes = [volume, *(read_node(node)[0] for node in otherNodes)]
    reference = None if referenceNode is None else read_node(referenceNode)[0]

    def apply(result):
        name = f"{volumeNode.GetName()} {_SUFFIXES.get(result.report['method'], 'sharp')}"
        node = put_volume(result.volume, name, volumeNode, volumeNode, placement, _if_present(outputNode))
        _put_difference(node, result.difference, volumeNode, placement)
        keep_report(node, result.report)
        return node

    return tasks.run(SUPER_RESOLVE, volumes if otherNodes else volume, config, reference=reference,
                     device=device, wait=wait, apply=apply, inputs=nodes, onProgress=onProgress,
                     onDone=onDone, onPreview=onPreview)


def _put_difference(node, difference: Volume | None, volumeNode, placement: Placement) -> None:
    """The volume of the texture that was added, beside its result; that of an earlier run is replaced or removed."""
    earlier = node.GetNodeReference(INVENTED_ROLE)
    if difference is not None:
        made = put_volume(difference, f"{node.GetName()} difference", None, volumeNode, placement, earlier)
        place_beside(made, volumeNode)
        node.SetNodeReferenceID(INVENTED_ROLE, made.GetID())
    elif earlier is not None:
        slicer.mrmlScene.RemoveNode(earlier)


def invented_warnings(nodes) -> list[str]:
    """A sentence for each volume node that was synthesized, not measured, as a whole or in part."""
    words = {True: "is invented, not measured: do not rely on what is found in it alone.",
             False: "holds synthesized texture or voxels, which were not measured: do not rely on what is found there."}
    marked = [node for node in nodes if node is not None
              and (node.GetAttribute(INVENTED_ROLE) or node.GetNodeReferenceID(INVENTED_ROLE))]
    return [f"'{node.GetName()}' {words[bool(node.GetAttribute(INVENTED_ROLE))]}" for node in marked]


def keep_report(node, report: dict) -> None:
    """Keep the report of a run with its result."""
    node.SetAttribute(REPORT_ATTRIBUTE, json.dumps(report))


def report_of(node) -> dict:
    """The report that `keep_report` kept; {} where the node has none."""
    text = None if node is None else node.GetAttribute(REPORT_ATTRIBUTE)
    return json.loads(text) if text else {}


def _add_companions(node, segmentation, volumeNode, placement: Placement) -> None:
    """The table of volumes and, where there is one, the confidence volume; those of an earlier run are replaced."""
    name = node.GetName()
    table = create_volume_table(segmentation, f"{name} volumes", node.GetNodeReference(TABLE_ROLE))
    place_beside(table, node)
    node.SetNodeReferenceID(TABLE_ROLE, table.GetID())
    earlier = node.GetNodeReference(CONFIDENCE_ROLE)
    if earlier is not None:
        slicer.mrmlScene.RemoveNode(earlier)
    confidence = create_confidence_node(segmentation, volumeNode, f"{name} confidence", placement=placement)
    if confidence is not None:
        node.SetNodeReferenceID(CONFIDENCE_ROLE, confidence.GetID())


def is_present(node) -> bool:
    """Whether there is a node, and it has not left the scene meanwhile."""
    return node is not None and bool(slicer.mrmlScene.IsNodePresent(node))


def _if_present(node):
    """The node, unless it has left the scene meanwhile."""
    return node if is_present(node) else None
