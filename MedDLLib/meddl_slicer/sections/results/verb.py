"""Sheets of pictures and tables of results, as files."""

import csv
from pathlib import Path

from meddl.core.errors import InputError
from meddl.io.files import replacing
from meddl_slicer.mrml.nodes import read_node
from meddl_slicer.mrml.segment_layers import read_layers
from meddl_slicer.runs import tasks

DRAW = "meddl_slicer.sections.results.remote:draw_sheet"


def save_sheet(path, volumeNode, resultNode, *, sharper: bool = False, wait: bool = True, onProgress=None, onDone=None):
    """Write a PNG file with slices of a volume and its result, with captions and a legend: `meddl.view`.

    Args:
        path: ends in .png.
        volumeNode: the volume that was segmented or super-resolved, or the fixed one.
        resultNode: a segmentation over it, or a volume in the same world: a super-resolution of it (`sharper`), or any.
        wait, onProgress, onDone: as of `meddl_slicer.runs.verbs`.

    Returns:
        The path, or the Task.

    Raises:
        InputError: another suffix, a node of another kind, or a place that cannot be written to.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"A sheet is written as .png; got '{path.name}'.")
    volume = read_node(volumeNode)[0]
    if resultNode.IsA("vtkMRMLSegmentationNode"):
        other = tuple(layer.labels for layer in read_layers(resultNode, volumeNode))
    else:
        other = read_node(resultNode)[0]

    def apply(content: bytes) -> Path:
        with replacing(path, ".png") as temporary:
            temporary.write_bytes(content)
        return path

    return tasks.run(DRAW, volume, other, resultNode.GetName(), sharper=sharper, wait=wait, apply=apply,
                     inputs=(volumeNode, resultNode), onProgress=onProgress, onDone=onDone)


def save_table(path, tableNode) -> None:
    """Write a table node as a CSV file, its column names in the first line; what is no number stays empty.

    Raises:
        InputError: another suffix, or a place that cannot be written to.
    """
    path = Path(path)
    if path.suffix.lower() != ".csv":
        raise InputError(f"A table is written as .csv; got '{path.name}'.")
    content = tableNode.GetTable()
    columns = [content.GetColumn(number) for number in range(content.GetNumberOfColumns())]
    rows = [[_text(column.GetValue(row)) for column in columns] for row in range(content.GetNumberOfRows())]
    with replacing(path, ".csv") as temporary, Path(temporary).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[column.GetName() for column in columns], *rows])


def _text(value) -> str:
    return value if isinstance(value, str) else "" if value != value else f"{value:.10g}"
