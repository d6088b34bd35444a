"""Nodes compared by the modules' logics: tables, map of errors, plots, model, other spaces, folders."""

import numpy as np
import pytest
import slicer
from bridge_scene import OBLIQUE, add_linear_transform, add_volume, add_warp, scene_contents, turned
from comparison_nodes import (
    add_image,
    add_label_map,
    add_markups,
    add_segmentation,
    column,
    put_in_folder,
    two_structures,
)

import host
import meddl
from meddl.core.errors import InputError
from meddl.measures.config import CompareConfig
from meddl.results import Segment, Segmentation
from meddl_slicer.runs import verbs
from meddl_slicer.sections.comparison import verb
from meddl_slicer.sections.comparison.nodes import (
    CONFUSION_ROLE,
    CURVE_ROLE,
    DIFFERENCE_ROLE,
    ERRORS_ROLE,
    SUMMARY_ROLE,
    SURFACES_ROLE,
    charts_of,
    companions,
    undo,
)


@pytest.fixture
def pair(clean):
    image = add_image()
    return add_segmentation(image, "mine", 2), add_segmentation(image, "theirs")


def logic(name="MedDLSeg"):
    host.load_module(name)
    return slicer.util.getModuleLogic(name)


def test_two_segmentations_give_the_figures_of_meddl_compare(pair):
    node = logic().compare(*pair)
    segments = tuple(Segment(value, "", (1, 1, 1)) for value in (1, 2))
    found = meddl.compare(*(Segmentation(two_structures(shift), OBLIQUE, segments) for shift in (2, 0)), match="value")
    assert column(node, "Structure") == ["Left kidney", "Liver"]
    for name, title in (("dice", "Dice"), ("hd95_mm", "HD95 [mm]"), ("volume_ml", "Volume [ml]"),
                        ("specificity", "Specificity")):
        assert column(node, title) == pytest.approx([row[name] for row in found.rows()], abs=1e-9)
    assert node.GetLocked() and verbs.report_of(node)["region"] == "grid"
    errors = node.GetNodeReference(ERRORS_ROLE)
    content = errors.GetSegmentation()
    assert [content.GetNthSegment(n).GetName() for n in range(content.GetNumberOfSegments())] == ["Missed", "Extra"]
    confusion = node.GetNodeReference(CONFUSION_ROLE)
    counts = np.array([column(confusion, name) for name in ("Background", "Left kidney", "Liver")]).T
    assert np.array_equal(counts, found.confusion)
    assert [pair[n].GetSegmentation().GetNumberOfSegments() for n in (0, 1)] == [2, 2]


def test_the_bar_plot_is_drawn_from_the_table(pair):
    node = logic().compare(*pair)
    (chart,) = charts_of(node)
    series = chart.GetNthPlotSeriesNode(0)
    assert series.GetTableNode() is node and series.GetPlotType() == series.PlotTypeBar
    assert (series.GetLabelColumnName(), series.GetYColumnName()) == ("Structure", "Dice")


def test_a_label_map_and_a_segmentation_under_a_transform_are_compared_where_they_are_seen(pair):
    moved = add_linear_transform(turned(20))
    for node in (pair[0], label := add_label_map("reference map")):
        node.SetAndObserveTransformNodeID(moved.GetID())
    node = logic().compare(pair[0], label)
    assert column(node, "Dice") == pytest.approx([4 / 6, 1])
    label.SetAndObserveTransformNodeID(None)
    assert max(column(logic().compare(pair[0], label), "Dice")) < 0.9


def test_segments_are_matched_by_name_and_shared_codes_match_nothing(clean):
    image = add_image()
    mine = add_segmentation(image, "mine", names={1: "liver", 2: "left_kidney"})
    node = logic().compare(mine, add_segmentation(image, "theirs"))
    assert column(node, "Structure") == ["Left kidney", "Liver"] and column(node, "Dice") == [0, 0]
    alone = add_segmentation(image, "alone", names={1: "Tumor", 2: "Edema"})
    node = logic().compare(mine, alone, CompareConfig(match="terminology"))
    assert len(column(node, "Structure")) == 4 and "matches" in verbs.report_of(node)["warnings"][0]


def test_overlapping_segments_are_refused_with_their_name(pair):
    content = pair[0].GetSegmentation()
    extra = slicer.vtkSegment()
    extra.SetName("Tumor")
    image = slicer.vtkOrientedImageData()
    image.DeepCopy(content.GetNthSegment(0).GetRepresentation("Binary labelmap"))
    extra.AddRepresentation("Binary labelmap", image)
    extra.SetLabelValue(1)
    content.AddSegment(extra, "Segment_9")
    with pytest.raises(InputError, match="'Tumor' overlaps"):
        logic().compare(*pair)


def test_surfaces_are_colored_by_their_distance(pair):
    node = logic().compare(*pair, distances=True)
    model = node.GetNodeReference(SURFACES_ROLE)
    distance = slicer.util.arrayFromModelPointData(model, "Distance")
    spacing = np.linalg.norm(OBLIQUE[:3, 0])
    assert distance.max() == pytest.approx(2 * spacing, rel=0.15)
    assert distance.min() == pytest.approx(-2 * spacing, rel=0.15)
    display = model.GetDisplayNode()
    assert display.GetScalarVisibility() and display.GetScalarRange()[0] == -display.GetScalarRange()[1]
    liver = slicer.util.arrayFromModelPoints(model)
    assert np.isfinite(liver).all()


def test_probabilities_give_a_roc_curve(pair):
    random = np.random.default_rng(0)
    scores = (random.random(two_structures().shape) * 0.6 + 0.3 * (two_structures() == 2)).astype(np.float32)
    node = logic().compare(add_volume(scores, name="probability"), pair[1], CompareConfig(structure="Liver"))
    report = verbs.report_of(node)
    curve = node.GetNodeReference(CURVE_ROLE)
    area = np.trapezoid(column(curve, "Sensitivity"), column(curve, "False positive rate"))
    assert report["structure"] == "Liver" and report["auc"] == pytest.approx(area, abs=2e-3) and area > 0.7
    (chart,) = charts_of(node)
    assert chart.GetNthPlotSeriesNode(0).GetTableNode() is curve and chart.GetNumberOfPlotSeriesNodes() == 2


def test_two_volumes_within_a_mask(pair):
    first, second = add_image("a"), add_image("b")
    slicer.util.arrayFromVolume(second)[:, ::2] += 10  # a reference with a contrast
    slicer.util.arrayFromVolume(first)[:, ::2] += 10
    slicer.util.arrayFromVolume(first)[:] += 3
    slicer.util.arrayFromVolume(first)[0] += 500
    node = logic("MedDLSuperRes").compare(first, second, regionNode=pair[1])
    values = dict(zip(column(node, "Figure"), column(node, "Value"), strict=True))
    assert float(values["MAE"]) == pytest.approx(3) and verbs.report_of(node)["voxels"] == (two_structures() > 0).sum()
    assert slicer.util.arrayFromVolume(node.GetNodeReference(DIFFERENCE_ROLE)).max() == pytest.approx(3)


def test_two_transforms_and_landmarks(clean):
    shift, identity = np.eye(4), np.eye(4)
    shift[0, 3] = 4.0
    first, second, fixed = add_linear_transform(shift), add_linear_transform(identity), add_image()
    node = logic("MedDLRegister").compare(first, second, regionNode=fixed)
    values = dict(zip(column(node, "Figure"), column(node, "Value"), strict=True))
    assert float(values["Mean [mm]"]) == pytest.approx(4)
    points = np.array([[0.0, 0, 0], [10, 5, 3], [-4, 8, 2]])
    landmarks = [add_markups("F", points, "abc"), add_markups("M", points - np.array([5, 0, 0]), "abc")]
    node = logic("MedDLRegister").compare(*landmarks, transformNode=first)
    assert column(node, "Landmark") == ["a", "b", "c"] and column(node, "Distance [mm]") == pytest.approx([1, 1, 1])
    assert verbs.report_of(node)["before_mm"] == pytest.approx(5) and len(charts_of(node)) == 1


def test_a_result_under_a_nonlinear_transform_is_refused(pair):
    pair[0].SetAndObserveTransformNodeID(add_warp(bend_mm=20.0).GetID())
    with pytest.raises(InputError, match="linear"):
        logic().compare(*pair)


def test_a_region_of_the_wrong_kind_is_refused(pair):
    with pytest.raises(InputError, match="not where these can be compared"):
        logic().compare(*pair, regionNode=pair[0])
    with pytest.raises(InputError, match="not where these can be compared"):
        logic().compare(add_image("a"), add_image("b"), regionNode=add_image("c"))


def test_the_same_table_is_filled_again_and_undone(pair):
    def contents():
        return [line for line in scene_contents() if "Display" not in line]

    before = contents()
    node = logic().compare(*pair, distances=True)
    first = len(companions(node))
    assert logic().compare(*pair, tableNode=node) is node and len(companions(node)) == first - 1
    undo(node)
    assert contents() == before


@pytest.mark.parametrize("kinds, words", [
    ((0, None), "Choose the reference"), ((None, 1), "Choose what"), ((0, 0), "same node"),
    ((0, 2), "different kinds")])
def test_what_cannot_be_compared_is_refused(pair, kinds, words):
    nodes = (*pair, add_linear_transform(np.eye(4)))
    with pytest.raises(InputError, match=words):
        logic().compare(*(None if kind is None else nodes[kind] for kind in kinds))


def test_folders_are_compared_case_by_case_with_the_worst_first(clean):
    mine, theirs = [], []
    for number, shift in enumerate((0, 3, 1, 2)):
        image = add_image(f"CT {number}")
        mine.append(add_segmentation(image, f"case {number} found", shift))
        theirs.append(add_segmentation(image, f"case {number}"))
    folders = put_in_folder("found", *mine), put_in_folder("truth", *theirs)
    node = verb.compare_branches(*folders)
    assert column(node, "Case")[::2] == [f"case {number} found" for number in (1, 3, 2, 0)]
    summary = node.GetNodeReference(SUMMARY_ROLE)
    rows = list(zip(column(summary, "Structure"), column(summary, "Figure"), column(summary, "Mean"), strict=True))
    (dice,) = [mean for structure, figure, mean in rows if (structure, figure) == ("Left kidney", "Dice")]
    assert dice == pytest.approx(np.mean([1, 3 / 6, 5 / 6, 4 / 6]))
    box, agreement = charts_of(node)
    assert "Dice" in box.GetTitle() and agreement.GetNumberOfPlotSeriesNodes() == 4
    with pytest.raises(InputError, match="same name"):
        verb.compare_branches(folders[0], put_in_folder("empty"))


def test_a_table_is_saved_as_csv(pair, tmp_path):
    node = logic().compare(*pair)
    assert slicer.util.saveNode(node, str(tmp_path / "out.csv"))
    assert "Left kidney" in (tmp_path / "out.csv").read_text() and "Dice" in (tmp_path / "out.csv").read_text()
