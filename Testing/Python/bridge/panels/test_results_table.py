"""The figures of a result: one number format a column, doubtful rows colored and explained, copied as text."""

import numpy as np
import pytest
import slicer

from meddl.jobs.summary import Row
from meddl.results import Segment, Segmentation
from meddl_slicer.mrml.tables import create_summary_table, create_volume_table
from meddl_slicer.panels.banner import WARNING
from meddl_slicer.panels.views.results_table import ResultsTable

REPORT = {"volumes_ml": {"liver": 1499.98765, "spleen": 0.5}, "confidence": {"liver": 0.95, "spleen": 0.4},
          "usual_confidence": {"liver": (0.9, 0.99), "spleen": (0.7, 0.96)}}
SEGMENTS = tuple(Segment(value, name, (1.0, 0.0, 0.0), None)
                 for value, name in ((1, "liver"), (2, "spleen"), (3, "gall")))


@pytest.fixture
def widget(clean):
    import qt

    table = qt.QTableWidget()
    yield table
    table.delete()


def segmentation(report):
    return Segmentation(np.ones((2, 2, 2), np.uint8), np.eye(4), SEGMENTS, None, report)


def rows(table):
    return [[table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)]


def test_numbers_have_one_format_a_column_and_the_usual_range_stands_beside(widget):
    ResultsTable(widget).show(create_volume_table(segmentation(REPORT), "volumes"), REPORT)
    assert [widget.horizontalHeaderItem(column).text() for column in range(3)] == [
        "Structure", "Volume\n[ml]", "Confidence\n(usual)"]
    assert rows(widget) == [["liver", "1499.99", "0.95 (0.90–0.99)"], ["spleen", "0.50", "0.40 (0.70–0.96)"],
                            ["gall", "0.00", ""]]
    assert widget.verticalHeader().isHidden()


def test_a_row_below_the_usual_range_is_colored_and_says_why(widget):
    ResultsTable(widget).show(create_volume_table(segmentation(REPORT), "volumes"), REPORT)
    colored = [row for row in range(3) if widget.item(row, 0).background().color().name() == WARNING[1]]
    assert colored == [1]
    assert widget.item(1, 2).toolTip() == ("The confidence of 'spleen' is 0.40; usual is 0.70–0.96. "
                                           "Look at this structure.")
    assert "mean probability" in widget.item(0, 2).toolTip() and "ml" not in widget.item(0, 0).toolTip()


def test_without_a_usual_range_no_row_is_doubted(widget):
    report = {key: value for key, value in REPORT.items() if key != "usual_confidence"}
    ResultsTable(widget).show(create_volume_table(segmentation(report), "volumes"), report)
    assert rows(widget)[1] == ["spleen", "0.50", "0.40"]
    assert not any(widget.item(row, 0).background().color().name() == WARNING[1] for row in range(3))


def test_slicer_shows_the_unit_once(widget):
    import qt

    node = create_volume_table(segmentation(REPORT), "volumes")
    view = slicer.qMRMLTableView()
    view.setMRMLTableNode(node)
    assert view.model().headerData(1, qt.Qt.Horizontal) == "Volume [ml]"
    view.delete()


def test_a_summary_leaves_empty_what_was_not_measured_and_is_copied(widget):
    node = create_summary_table([Row("a", "done", 2.0, {"liver": 3.14159}), Row("b", "failed", 1.0, error="No.")],
                                ["liver"], "summary")
    table = ResultsTable(widget)
    table.show(node)
    assert rows(widget)[0][-1] == "3.14" and rows(widget)[1][-1] == "" and rows(widget)[1][2] == "1.00"
    table.copy()
    lines = slicer.app.clipboard().text().splitlines()
    assert lines[0].split("\t")[-1] == "liver [ml]" and lines[1].split("\t")[0] == "a" and len(lines) == 3
    table.clear()
    assert widget.rowCount == widget.columnCount == 0


def test_a_case_that_failed_or_has_a_warning_is_colored_and_says_why(widget):
    cases = [Row("a", "done"), Row("b", "failed", error="No image."), Row("c", "done", warnings=("Far off.",))]
    ResultsTable(widget).show(create_summary_table(cases, (), "registrations", result="Transform"), {},
                              ("Case", "State"))
    colored = [widget.item(row, 0).background().color().name() == WARNING[1] for row in range(3)]
    assert widget.columnCount == 2 and colored == [False, True, True]
    assert widget.item(1, 1).toolTip() == "No image." and widget.item(2, 0).toolTip() == "Far off."
