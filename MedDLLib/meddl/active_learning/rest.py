"""The verb `meddl.segment_rest`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from meddl.core.config import SegmentConfig
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback
from meddl.jobs.segment_many import segment_many
from meddl.jobs.summary import Row, Summary
from meddl.training.supervised.data.discovery import unlabeled_files

SUFFIX = ".seg.nrrd"  # with the structures' names, by which labels are matched in training


def segment_rest(images: str | Path, labels: str | Path | None = None, *, output: str | Path, model: str,
                 config: SegmentConfig | None = None, overwrite: bool = False, workers: int | None = None,
                 device: str = "auto", on_case: Callable[[tuple[Row, ...]], None] | None = None,
                 on_progress: ProgressCallback | None = None) -> Summary:
    """Segment the volumes that have no label map yet, and say which of them is least certain: uncertainty sampling
    (D. D. Lewis, W. A. Gale, SIGIR 1994, doi:10.1007/978-1-4471-2099-5_1).

    Corrected and moved into the folder of the label maps, a result is a further training case, from which
    `meddl.train` with `continue_from` goes on.

    Args:
        images, labels: as of `meddl.train`: two folders, or one with `images` and `labels`, or nnU-Net's raw data.
        output: folder of the results: Slicer segmentations (.seg.nrrd), named after their volumes.
        model: identifier of an installed model.
        config, overwrite, workers, device, on_case, on_progress: as of `meddl.segment_many`.

    Returns:
        The table, the least certain volume first: lowest mean confidence (of its labeled voxels, the softmax
        probability of their label), and before these the ones in which nothing was found. It is also summary.csv.

    Raises:
        InputError: every volume has a label map; and all that `meddl.segment_many` raises.
    """
    files = unlabeled_files(images, labels)
    if not files:
        raise InputError(f"Every volume in '{images}' has a label map: there is nothing left to segment.")
    summary = segment_many(files, output, model, config, suffix=SUFFIX, overwrite=overwrite, workers=workers,
                           device=device, on_case=on_case, on_progress=on_progress)
    ordered = replace(summary, rows=tuple(sort_by_certainty(summary.rows)))
    ordered.save(output)
    return ordered


def sort_by_certainty(rows: Sequence[Row]) -> list[Row]:
    """Rows with the least certain first; what failed comes last."""
    def key(row: Row) -> tuple:
        return row.state not in ("done", "kept"), row.mean_confidence is not None, row.mean_confidence or 0.0, row.case

    return sorted(rows, key=key)
