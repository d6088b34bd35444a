"""What can be done with a result: copied, saved as CSV, plotted, drawn as a sheet of pictures."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, centered, phantom, process_events
from PIL import Image

import host
from meddl.core.errors import InputError
from meddl.results import Segment, Segmentation
from meddl.spatial.volume import Volume
from meddl_slicer.mrml.segmentations import create_segmentation_node
from meddl_slicer.mrml.tables import ASYMMETRY, STRUCTURE, VOLUME, create_volume_table
from meddl_slicer.sections.results.actions import PLOT_ROLE, ResultActions
from meddl_slicer.sections.results.remote import merge_layers
from meddl_slicer.sections.results.verb import save_sheet, save_table

SEGMENTS = (Segment(1, "left caudate", (1.0, 0.0, 0.0)), Segment(2, "right caudate", (0.0, 1.0, 0.0)),
            Segment(3, "brainstem", (0.0, 0.0, 1.0)))
REPORT = {"volumes_ml": {"left caudate": 4.4, "right caudate": 3.6, "brainstem": 20.0}, "confidence": {}}


@pytest.fixture
def head(clean):
    return add_volume(phantom(), centered(np.eye(3)), "head")


@pytest.fixture
def segmentation(head):
    labels = np.zeros(phantom().shape, np.uint8)
    labels[4:12, 4:10, 4:8], labels[14:18, 4:10, 4:8], labels[10:13, 10:14, 8:12] = 1, 2, 3
    return create_segmentation_node(Segmentation(labels, centered(np.eye(3)), SEGMENTS, None, REPORT), head)


@pytest.fixture
def table(clean):
    return create_volume_table(Segmentation(np.ones((2, 2, 2), np.uint8), np.eye(4), SEGMENTS, None, REPORT), "volumes")


@pytest.fixture
def actions(clean):
    import qt

    page = qt.QWidget()
    qt.QVBoxLayout(page)
    copied = []
    made = ResultActions(SimpleNamespace(resultsCollapsibleButton=page), "test", lambda: copied.append(True))
    made.copied = copied
    yield made
    made.close()
    page.delete()


def choose(monkeypatch, path):
    import qt

    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_: str(path))


def test_a_table_holds_the_asymmetry_of_both_sides_alone(table):
    content = table.GetTable()
    assert [content.GetColumnByName(ASYMMETRY).GetValue(row) for row in (0, 1)] == pytest.approx([20.0, 20.0])
    assert np.isnan(content.GetColumnByName(ASYMMETRY).GetValue(2))


def test_a_table_is_saved_as_csv(table, tmp_path):
    save_table(tmp_path / "volumes.csv", table)
    with (tmp_path / "volumes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row[STRUCTURE] for row in rows] == [segment.name for segment in SEGMENTS]
    assert rows[0][VOLUME] == "4.4" and rows[0][ASYMMETRY] == "20" and rows[2][ASYMMETRY] == ""
    with pytest.raises(InputError, match=r"\.csv"):
        save_table(tmp_path / "volumes.txt", table)


def test_the_buttons_are_those_of_the_result(actions, table, segmentation, head):
    buttons = actions.copyButton, actions.csvButton, actions.plotButton, actions.pictureButton
    assert all(button.isHidden() for button in buttons)
    actions.show(table, (head, segmentation, False))
    assert not any(button.isHidden() for button in buttons)
    actions.show(None, (head, segmentation, False))
    assert [button.isHidden() for button in buttons] == [True, True, True, False]
    actions.show(table, (None, segmentation, False))
    assert actions.pictureButton.isHidden()
    actions.copyButton.click()
    assert actions.copied


def test_csv_asks_for_a_file_and_adds_its_suffix(actions, table, tmp_path, monkeypatch):
    actions.show(table)
    choose(monkeypatch, "")
    actions.csvButton.click()
    choose(monkeypatch, tmp_path / "mine")
    actions.csvButton.click()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"] and not host.errors()
    choose(monkeypatch, tmp_path / "nowhere" / "mine.csv")
    actions.csvButton.click()
    assert "could not be saved" in host.dialogs[-1].text and isinstance(host.take_unhandled()[0], InputError)


def test_the_plot_is_one_chart_however_often_it_is_shown(actions, table):
    actions.show(table)
    for _ in range(2):
        actions.plotButton.click()
    assert not host.errors()
    (chart,) = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    assert table.GetNodeReference(PLOT_ROLE) is chart
    (series,) = slicer.util.getNodesByClass("vtkMRMLPlotSeriesNode")
    assert (series.GetYColumnName(), series.GetLabelColumnName()) == (VOLUME, STRUCTURE)
    assert series.GetTableNode() is table


def test_a_picture_of_a_segmentation_is_drawn_in_the_worker(actions, head, segmentation, tmp_path, monkeypatch):
    actions.show(None, (head, segmentation, False))
    choose(monkeypatch, tmp_path / "sheet.png")
    actions.pictureButton.click()
    assert not actions.pictureButton.enabled
    process_events(lambda: actions.pictureButton.enabled, limit=60)
    assert not host.errors()
    pixels = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).reshape(-1, 3).astype(int)
    for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
        assert (np.abs(pixels - color).sum(axis=1) < 30).any()  # outlines and legend
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_pictures_of_two_volumes_and_of_a_sharper_one(head, tmp_path):
    other = add_volume(phantom()[::-1].copy(), centered(np.eye(3)), "other")
    for name, sharper in (("both.png", False), ("sharper.png", True)):
        assert save_sheet(tmp_path / name, head, other, sharper=sharper) == tmp_path / name
        assert Image.open(tmp_path / name).height > 900  # three rows
    with pytest.raises(InputError, match=r"\.png"):
        save_sheet(tmp_path / "both.jpg", head, other)


def test_a_picture_that_cannot_be_written_is_said(actions, head, segmentation, tmp_path, monkeypatch):
    actions.show(None, (head, segmentation, False))
    choose(monkeypatch, tmp_path / "nowhere" / "sheet.png")
    actions.pictureButton.click()
    process_events(lambda: actions.pictureButton.enabled, limit=60)
    assert "could not be saved" in host.dialogs[-1].text


def test_layers_are_merged_on_the_grid_of_the_volume():
    volume = Volume.scalar(np.zeros((4, 4, 4), np.float32), np.eye(4))
    first, second = np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)
    first[:2], second[1:] = 1, 1
    layers = tuple(Segmentation(labels, np.eye(4), (Segment(1, name, (1.0, 0.0, 0.0)),))
                   for labels, name in ((first, "a"), (second, "b")))
    merged = merge_layers(layers, volume)
    assert merged.labels[:, 0, 0].tolist() == [1, 2, 2, 2] and [one.name for one in merged.segments] == ["a", "b"]
