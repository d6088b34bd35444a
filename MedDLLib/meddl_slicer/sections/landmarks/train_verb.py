"""Training of a model of landmarks on the volumes and markups of the scene, or on a folder."""

from pathlib import Path

from slicer.i18n import tr as _

from meddl.core.errors import InputError
from meddl.core.paths import cache_folder
from meddl.models.store.store import ModelStore
from meddl.training.config import LandmarkTrainConfig
from meddl_slicer.mrml.nodes import read_node
from meddl_slicer.mrml.tables import Column, fill_table
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.packages import dependencies
from meddl_slicer.sections.landmarks.marks import marked_below, read_marks
from meddl_slicer.sections.landmarks.remote import MarkedVolume
from meddl_slicer.sections.training.curve import ERROR, fill_curve
from meddl_slicer.sections.training.verb import RUNS

TRAIN = "meddl_slicer.sections.landmarks.remote:train"
FIGURES_ROLE = "MedDL.LandmarkFigures"  # of the table of a training: that of its figures
LANDMARK = _("Landmark")
_FIGURES = {"count": _("Cases"), "mean_mm": _("Mean (mm)"), "median_mm": _("Median (mm)"),
            "p95_mm": _("95 % below (mm)"), "found": _("Found"), "iou": _("IoU")}


def train_landmark_model(source: int | str | Path, *, name: str, config: LandmarkTrainConfig | None = None,
                         device: str = "auto", **run):
    """Train a model of landmarks and boxes: `meddl.train_landmarks`. It is then among the installed models.

    Args:
        source: an item of the subject hierarchy, below which volumes have markups as `marks.marked_below` says; or a
            folder on disk with the folders images and points, or with volumes and markups in it.
        name: of the model.
        config, device: as of `meddl.train_landmarks`.
        run: wait, onProgress, onDone, onPreview, as of `meddl_slicer.runs.tasks.run`; a preview is a dictionary of the
            fields of `meddl.training.loop.TrainingFigures`.

    Returns:
        The table node with loss and mean error by step, or the Task. Its node reference FIGURES_ROLE is the table with
        the errors of each landmark, its report names the model.

    Raises:
        InputError: fewer than two volumes with markups, or markups that cannot be read.
    """
    nodes = marked_below(source) if isinstance(source, int) else []
    if isinstance(source, int) and len(nodes) < 2:
        raise InputError("Two volumes with point lists or ROIs are needed at least. Put each volume and its markups "
                         "into a folder of the subject hierarchy, or begin their names with the volume's.")
    dependencies.ensure()
    content = [MarkedVolume(one.node.GetName(), read_node(one.node)[0], *read_marks(one), one.patient)
               for one in nodes] if isinstance(source, int) else str(source)

    def apply(found):
        table = fill_curve(found["curve"], ERROR, _("{name} training").format(name=name))
        figures = put_figures(found["figures"], _("{name} errors").format(name=name))
        table.SetNodeReferenceID(FIGURES_ROLE, figures.GetID())
        verbs.keep_report(table, found["report"])
        return table

    return tasks.run(TRAIN, content, name=name, config=config or LandmarkTrainConfig(), runs=str(cache_folder() / RUNS),
                     cache=str(ModelStore().cache), device=device, apply=apply, inputs=[one.node for one in nodes],
                     **run)


def put_figures(rows: list[dict], name: str):
    """A table node with a row for each landmark and box, the first of all together."""
    return fill_table(name, [Column(LANDMARK, [row["name"] for row in rows]), *(
        Column(title, ["-" if row[key] is None else str(row[key]) if key == "count" else f"{row[key]:.2f}"
                       for row in rows]) for key, title in _FIGURES.items())])
