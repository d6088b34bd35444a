"""Classification on nodes: a volume's class, and the training of a classifier on the volumes of the scene."""

from pathlib import Path

from slicer.i18n import tr as _

from meddl.core.errors import InputError
from meddl.core.paths import cache_folder
from meddl.measures.classification import RATES
from meddl.models.store.store import ModelStore
from meddl.training.config import ClassifierTrainConfig
from meddl_slicer.mrml.nodes import read_node
from meddl_slicer.mrml.tables import Column, fill_table
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.packages import dependencies
from meddl_slicer.sections.classification.classes import ATTRIBUTE, classified_below
from meddl_slicer.sections.classification.remote import ClassifiedVolume
from meddl_slicer.sections.training.curve import PROBABILITY as SCORE
from meddl_slicer.sections.training.curve import fill_curve
from meddl_slicer.sections.training.verb import RUNS

CLASSIFY = "meddl_slicer.sections.classification.remote:classify"
TRAIN = "meddl_slicer.sections.classification.remote:train"
CLASS_ATTRIBUTE = "MedDL.Class"      # of a volume node that was classified
TABLE_ROLE = "MedDL.ClassTable"      # of the same: the table of probabilities
FIGURES_ROLE = "MedDL.ClassFigures"  # of the table of a training: that of its figures
TRUE_CLASS, PROBABILITY = _("True class"), _("Probability")


def classify_node(volumeNode, model: str, *, device: str = "auto", wait: bool = True, onProgress=None, onDone=None):
    """Say which class of a classifier a volume node belongs to: `meddl.classify`.

    Args:
        volumeNode: a scalar volume node.
        model: identifier of an installed classifier.
        device, wait, onProgress, onDone: as of `verbs.segment_node`.

    Returns:
        The table node with the probability of each class, or the Task. The name of the class is in its report, and the
        volume node's attribute CLASS_ATTRIBUTE; a second run fills the same table.
    """
    dependencies.ensure()
    volume, _placement = read_node(volumeNode)

    def apply(found):
        volumeNode.SetAttribute(CLASS_ATTRIBUTE, found.name)
        table = fill_table(_("{name} class").format(name=volumeNode.GetName()), [
            Column(_("Class"), list(found.probabilities)), Column(PROBABILITY, list(found.probabilities.values()))],
            volumeNode.GetNodeReference(TABLE_ROLE))
        volumeNode.SetNodeReferenceID(TABLE_ROLE, table.GetID())
        verbs.keep_report(table, {**found.report, "class": found.name, "probabilities": found.probabilities,
                                  "reading": f"{volumeNode.GetName()}: {found.describe()}."})
        return table

    return tasks.run(CLASSIFY, volume, model, device=device, wait=wait, apply=apply, inputs=(volumeNode,),
                     onProgress=onProgress, onDone=onDone)


def train_classifier_model(source: int | str | Path, *, name: str, config: ClassifierTrainConfig | None = None,
                           attribute: str = ATTRIBUTE, device: str = "auto", wait: bool = True, onProgress=None,
                           onDone=None, onPreview=None):
    """Train a classifier: `meddl.train_classifier`. It is then among the installed models.

    Args:
        source: an item of the subject hierarchy, below which volumes have classes as `classes.classified_below` says;
            or a folder with a folder for each class, or a table, on disk.
        name: of the model.
        attribute: that names the class in the scene.
        config, device, wait, onProgress, onDone, onPreview: as of `meddl.train_classifier` and
            `meddl_slicer.runs.tasks.run`; a preview is a dictionary of the fields of
            `meddl.training.loop.TrainingFigures`.

    Returns:
        The table node with loss and probability of the true class by step, or the Task. Its node reference
        FIGURES_ROLE is the table with the confusion matrix and the figures, its report names the model.

    Raises:
        InputError: fewer than two classes.
    """
    nodes = classified_below(source, attribute) if isinstance(source, int) else []
    if isinstance(source, int) and len({one.label for one in nodes}) < 2:
        raise InputError(f"Volumes of two classes are needed at least. Put the volumes of each class into a folder of "
                         f"the subject hierarchy, or give their items or nodes the attribute '{attribute}'.")
    dependencies.ensure()
    content = [ClassifiedVolume(one.node.GetName(), read_node(one.node)[0], one.label, one.patient)
               for one in nodes] if isinstance(source, int) else str(source)

    def apply(found):
        table = fill_curve(found["curve"], SCORE, _("{name} training").format(name=name))
        figures = _put_figures(found, _("{name} confusion matrix").format(name=name))
        table.SetNodeReferenceID(FIGURES_ROLE, figures.GetID())
        verbs.keep_report(table, found["report"])
        return table

    return tasks.run(TRAIN, content, name=name, config=config or ClassifierTrainConfig(),
                     runs=str(cache_folder() / RUNS), cache=str(ModelStore().cache), device=device, wait=wait,
                     apply=apply, inputs=[one.node for one in nodes], onProgress=onProgress, onDone=onDone,
                     onPreview=onPreview)


def _put_figures(found: dict, name: str):
    """A table node with a row for each class: how many of its cases were found to be of which class, and figures."""
    classes, confusion = found["classes"], found["confusion"]
    columns = [Column(TRUE_CLASS, list(classes))]
    columns += [Column(_("Found: {name}").format(name=one), [row[number] for row in confusion])
                for number, one in enumerate(classes)]
    for rate in RATES:
        columns.append(Column(rate, [_with_interval(*found["figures"].get(one, {}).get(rate, (None, None)))
                                     for one in classes]))
    return fill_table(name, columns)


def _with_interval(value: float | None, interval) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" + ("" if interval is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]")


class ClassificationVerbs:
    """Part of the logic of MedDL Segmentation."""

    def classify(self, volumeNode, model: str, **choices):
        """Say which class a volume belongs to; returns the table node. See `classify_node`."""
        return classify_node(volumeNode, model, **choices)
