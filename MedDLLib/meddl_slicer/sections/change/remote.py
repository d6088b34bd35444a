"""What the worker process runs for the change between two dates; see `meddl_slicer.runs.remote`."""

from dataclasses import dataclass

import numpy as np

from meddl.core.config import RegisterConfig
from meddl.core.progress import report, span
from meddl.results import Registration, Segmentation
from meddl.spatial.volume import Volume
from meddl_slicer.runs.remote import as_node_layout
from meddl_slicer.sections.comparison.remote import Layers


@dataclass(frozen=True, eq=False)
class ChangeResults:
    """A change for the scene, arrays in the memory layout of nodes.

    Attributes:
        z, difference, matched, jacobian, structures, lesions, lesion_map, report: as of `meddl.longitudinal.change`.
        field, matrix: the transform as `transforms.fill_transform_node` takes it.
    """

    z: Volume
    difference: Volume
    matched: Volume
    jacobian: Volume | None
    field: Volume | None
    matrix: np.ndarray | None
    structures: tuple[dict, ...]
    lesions: tuple[dict, ...]
    lesion_map: Segmentation | None
    report: dict


def change(baseline: Volume, follow_up: Volume, config, *, registration: RegisterConfig | Registration | None = None,
           labels: tuple[Layers | None, Layers | None] = (None, None), mask: Layers | None = None,
           device: str = "auto", on_progress=None) -> ChangeResults:
    """`meddl.change`, ready for the scene."""
    from meddl.longitudinal.change import change as run

    given = None if labels[0] is None else (labels[0].merge(), None if labels[1] is None else labels[1].merge())
    where = None
    if mask is not None:
        merged = mask.merge()
        where = Volume.scalar(merged.labels, merged.affine)
    found = run(baseline, follow_up, config, registration=registration, segmentations=given, mask=where, device=device,
                on_progress=span(on_progress, 0.0, 0.98))
    report(on_progress, 0.98, "Handing over")
    matrix: np.ndarray | None = np.array(found.registration.affine)
    field = None
    if not found.registration.is_linear:
        field, matrix = found.registration.as_field()
        field = as_node_layout(field)
    map_ = found.lesion_map
    if map_ is not None:
        map_ = Segmentation(np.asfortranarray(map_.labels), map_.affine, map_.segments)
    return ChangeResults(as_node_layout(found.z), as_node_layout(found.difference), as_node_layout(found.matched),
                         None if found.jacobian is None else as_node_layout(found.jacobian), field, matrix,
                         found.structures, found.lesions, map_, found.report)
