"""A smaller model, learned from the pairs of volume and segmentation of the scene, or from a folder."""

from pathlib import Path

from slicer.i18n import tr as _

from meddl.compression.config import ShrinkConfig
from meddl.core.errors import InputError
from meddl.models.store.store import ModelStore
from meddl_slicer.mrml.tables import Column, fill_table
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.packages import dependencies
from meddl_slicer.sections.training.curve import AGREEMENT, CHART_ROLE, fill_curve
from meddl_slicer.sections.training.verb import pairs_below, read_pair

SHRINK = "meddl_slicer.sections.training.compression.remote:shrink"
LEAST_CASES = 3
_DIGITS = 4
CURVE_ROLE = "MedDL.DistillationCurve"  # of the table of figures: that of the distillation, where there was one


def shrink_installed_model(source: int | str | Path, *, model: str, name: str, config: ShrinkConfig | None = None,
                           device: str = "auto", **run):
    """Make a faster and smaller model of an installed one: `meddl.shrink_model`. It is then among the installed ones.

    Args:
        source: an item of the subject hierarchy, below which each volume that has a segmentation over it, or of its
            name, is a case; or a folder of volumes on disk, or one with the folders images and labels.
        model: identifier of the large model.
        name: of the small one.
        config, device: as of `meddl.shrink_model`.
        run: wait, onProgress, onDone, onPreview, as of `meddl_slicer.runs.tasks.run`; a preview is a dictionary of the
            fields of `meddl.training.loop.TrainingFigures`.

    Returns:
        The table node of the figures before and after, or the Task. Its report names the model, None where the small
        one was not fast or accurate enough, and says why; its node reference CURVE_ROLE is the table of the
        distillation.

    Raises:
        InputError: fewer than three cases, or segments without the names of the model's structures.
        ModelError: a model that cannot be shrunk.
    """
    pairs = pairs_below(source) if isinstance(source, int) else []
    if isinstance(source, int) and len(pairs) < LEAST_CASES:
        raise InputError("Three volumes with segmentations are needed at least. Give a segmentation the name of its "
                         "volume, or choose the volume as its source geometry.")
    dependencies.ensure()
    content = [read_pair(*pair) for pair in pairs] if isinstance(source, int) else str(source)

    def apply(found):
        names, before, after = zip(*found["rows"], strict=True) if found["rows"] else ((), (), ())
        table = fill_table(_("{name} beside {model}").format(name=name, model=model), [
            Column(_("Figure"), names), *(Column(title, [round(one, _DIGITS) for one in values]) for title, values in (
                (_("Before"), before), (_("After"), after)))])
        if found["curve"]:
            curve = fill_curve(found["curve"], AGREEMENT, _("{name} training").format(name=name))
            table.SetNodeReferenceID(CURVE_ROLE, curve.GetID())
            table.SetNodeReferenceID(CHART_ROLE, curve.GetNodeReferenceID(CHART_ROLE))
        verbs.keep_report(table, found["report"])
        return table

    return tasks.run(SHRINK, content, model=model, name=name, config=config or ShrinkConfig(),
                     cache=str(ModelStore().cache), device=device, apply=apply,
                     inputs=[node for pair in pairs for node in pair], **run)
