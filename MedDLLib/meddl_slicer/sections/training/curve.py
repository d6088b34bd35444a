"""The curve of a training: a table of its validations, with a chart."""

import slicer
from slicer.i18n import tr as _

from meddl_slicer.mrml.tables import Column, fill_table
from meddl_slicer.sections.comparison.plots import curve_chart

CHART_ROLE = "MedDL.TrainingChart"
STEP, LOSS, DICE, GAIN = _("Step"), _("Loss"), _("Validation Dice"), _("Gain in PSNR (dB)")
PROBABILITY, ERROR = _("Probability of the true class"), _("Mean error (mm)")
AGREEMENT = _("Agreement with the large model")


def fill_curve(rows: list[dict], score: str, title: str, node=None):
    """A table node of a training's validations, with its chart; a node that is given is filled anew.

    Args:
        rows: with step, loss and score.
        score: title of the column of scores, such as DICE or GAIN.
    """
    table = fill_table(title, [Column(STEP, [row["step"] for row in rows]), Column(LOSS, [row["loss"] for row in rows]),
                               Column(score, [row["score"] for row in rows])], node)
    if table.GetNodeReference(CHART_ROLE) is None:
        chart = curve_chart(table, title, STEP, (LOSS, score))
        table.SetNodeReferenceID(CHART_ROLE, chart.GetID())
    return table


def remove_curve(tableNode) -> None:
    """Remove what `fill_curve` made."""
    chart = tableNode.GetNodeReference(CHART_ROLE)
    if chart is not None:
        for number in reversed(range(chart.GetNumberOfPlotSeriesNodes())):
            slicer.mrmlScene.RemoveNode(chart.GetNthPlotSeriesNode(number))
        slicer.mrmlScene.RemoveNode(chart)
    slicer.mrmlScene.RemoveNode(tableNode)
