"""Plot nodes of a comparison: bars, ROC curve, boxes, Bland–Altman.

Each function gives the nodes of one plot: the chart first, then its series and the tables that it was drawn from.
"""

import numpy as np
import slicer
from slicer.i18n import tr as _

from meddl_slicer.mrml.tables import Column, fill_table

RATE, SENSITIVITY, DISTANCE = _("False positive rate"), _("Sensitivity"), _("Distance")
MOST_BOXES = 24
_WIDTH = 0.3  # half of a box, where boxes stand 1 apart
_COLORS = ((0.12, 0.47, 0.71), (0.84, 0.15, 0.16), (0.5, 0.5, 0.5), (0.17, 0.63, 0.17))


def bar_chart(tableNode, labels: str, values: str, title: str) -> tuple:
    """A bar for each row of a table, of the column `values`, with the texts of the column `labels` under it."""
    series = _series(tableNode, title, slicer.vtkMRMLPlotSeriesNode.PlotTypeBar, "", values)
    series.SetLabelColumnName(labels)
    return _chart(title, labels, values, [series]), series


def roc_chart(curveTable, title: str) -> tuple:
    """The curve of a table with the columns RATE and SENSITIVITY, and the diagonal of random scores."""
    curve = _line(curveTable, title, RATE, SENSITIVITY, 0)
    diagonal = fill_table(_("{name} chance").format(name=title), [Column(RATE, [0.0, 1.0]),
                                                                   Column(SENSITIVITY, [0.0, 1.0])])
    chance = _line(diagonal, _("Chance"), RATE, SENSITIVITY, 2)
    return _chart(title, RATE, SENSITIVITY, [curve, chance]), curve, chance, diagonal


def box_plot(rows: list[dict], figure: str, title: str) -> tuple:
    """A box for each structure: quartiles with the median, whiskers to the last case within 1.5 times their distance, a
    point for each case beyond (J. W. Tukey, Exploratory Data Analysis, 1977).

    Args:
        rows: of all cases, with "structure" and the figure. At most MOST_BOXES structures are drawn, those with the
            lowest median first. Nothing of one case.
    """
    groups: dict[str, list[float]] = {}
    for row in rows:
        if row.get(figure) is not None:
            groups.setdefault(row["structure"], []).append(row[figure])
    order = sorted(groups, key=lambda name: np.median(groups[name]))[:MOST_BOXES]
    if not order or max(map(len, groups.values())) < 2:
        return ()
    made, points = [], ([], [], [])
    for place, name in enumerate(order, start=1):
        x, y, beyond = _box(place, np.asarray(groups[name]))
        table = fill_table(f"{title}: {name}", [Column("x", x), Column("y", y)])
        made += [_line(table, f"{place} {name}", "x", "y", 0), table]
        for column, values in zip(points, ([float(place)] * len(beyond), beyond, [name] * len(beyond))):
            column += values
    if points[0]:
        table = fill_table(_("{name}: cases beyond").format(name=title), [
            Column("x", points[0]), Column("y", points[1]), Column(_("Structure"), points[2])])
        made += [_scatter(table, _("Cases beyond"), "x", "y"), table]
        made[-2].SetLabelColumnName(_("Structure"))
    series = [node for node in made if node.IsA("vtkMRMLPlotSeriesNode")]
    return _chart(title, _("Structure"), figure, series), *made


def bland_altman(rows: list[dict], title: str) -> tuple:
    """The difference of volume and reference volume by their mean, with the mean difference and the limits of agreement
    1.96 standard deviations from it (J. M. Bland, D. G. Altman, Lancet 327(8476), 1986,
    doi:10.1016/S0140-6736(86)90837-8).

    Args:
        rows: of all cases and structures, with `volume_ml` and `true_volume_ml`. Nothing of fewer than two.
    """
    rows = [row for row in rows if row.get("volume_ml") is not None and row.get("true_volume_ml") is not None]
    if len(rows) < 2:
        return ()
    mean = [(row["volume_ml"] + row["true_volume_ml"]) / 2 for row in rows]
    difference = np.array([row["volume_ml"] - row["true_volume_ml"] for row in rows])
    x, y = _("Mean volume [ml]"), _("Volume difference [ml]")
    points = fill_table(title, [Column(x, mean), Column(y, difference.tolist()),
                                Column(_("Case"), [f"{row['case']}, {row['structure']}" for row in rows])])
    made = [_scatter(points, _("Cases"), x, y), points]
    made[0].SetLabelColumnName(_("Case"))
    bias, spread = float(difference.mean()), 1.96 * float(difference.std(ddof=1))
    for text, level, color in ((_("Mean difference {level:.3g} ml"), bias, 1),
                               (_("Limit {level:.3g} ml"), bias - spread, 2), (_("Limit {level:.3g} ml"), bias + spread,
                                                                               2)):
        name = text.format(level=level)
        table = fill_table(f"{title}: {name}", [Column(x, [min(mean), max(mean)]), Column(y, [level, level])])
        made += [_line(table, name, x, y, color), table]
    return _chart(title, x, y, [node for node in made if node.IsA("vtkMRMLPlotSeriesNode")]), *made


def curve_chart(tableNode, title: str, x: str, columns):
    """A chart of columns of a table, a line each, by the column `x`."""
    return _chart(title, x, "", [_line(tableNode, name, x, name, number) for number, name in enumerate(columns)])


def show_chart(chartNode) -> None:
    """Show a plot, in a layout that has a plot view."""
    slicer.modules.plots.logic().ShowChartInLayout(chartNode)


def _box(place: float, values: np.ndarray) -> tuple[list[float], list[float], list[float]]:
    """The outline of a box as a path, (x, y), and the values beyond its whiskers."""
    low, middle, high = np.percentile(values, (25, 50, 75))
    reach = 1.5 * (high - low)
    inside = values[(values >= low - reach) & (values <= high + reach)]
    left, right = place - _WIDTH, place + _WIDTH
    path = [(place, inside.min()), (place, low), (left, low), (left, middle), (right, middle), (left, middle),
            (left, high), (place, high), (place, inside.max()), (place, high), (right, high), (right, low),
            (place, low)]
    return ([float(x) for x, _y in path], [float(y) for _x, y in path],
            [float(value) for value in values if value < inside.min() or value > inside.max()])


def _line(tableNode, name: str, x: str, y: str, color: int):
    series = _series(tableNode, name, slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter, x, y)
    series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
    series.SetLineStyle(slicer.vtkMRMLPlotSeriesNode.LineStyleSolid)
    series.SetColor(*_COLORS[color])
    return series


def _scatter(tableNode, name: str, x: str, y: str):
    series = _series(tableNode, name, slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter, x, y)
    series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleCircle)
    series.SetLineStyle(slicer.vtkMRMLPlotSeriesNode.LineStyleNone)
    return series


def _series(tableNode, name: str, kind: int, x: str, y: str):
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
    series.SetAndObserveTableNodeID(tableNode.GetID())
    series.SetPlotType(kind)
    series.SetXColumnName(x)
    series.SetYColumnName(y)
    series.SetColor(*_COLORS[0])
    return series


def _chart(title: str, x: str, y: str, series: list):
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", title)
    for one in series:
        chart.AddAndObservePlotSeriesNodeID(one.GetID())
    chart.SetTitle(title)
    chart.SetXAxisTitle(x)
    chart.SetYAxisTitle(y)
    chart.SetLegendVisibility(len(series) > 1)
    return chart
