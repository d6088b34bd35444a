"""Reports as pages: what they show, that they ask for nothing else, and how they look in a real browser."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import layout, needs_browser, requested_addresses, screenshot
from shell import AFFINE, blobs, run
from small_models import models, put  # noqa: F401

import meddl
from meddl.jobs.summary import Row, Summary
from meddl.reports.cohort import cohort_record, thumbnails
from meddl.reports.figures import Figure
from meddl.reports.page import page
from meddl.reports.plots import bars, boxes, ranges
from meddl.spatial.volume import Volume

CPU = ("--device", "cpu")
RECORD = {"meddl": "1", "command": "segment", "use": "For research only.", "limits": ["Adults."], "models": [],
          "configuration": {"bins": 3}, "options": {}, "device": "cpu", "precision": "float32", "threads": 1,
          "software": {"torch": "2"}, "inputs": [{"role": "volume", "sha256": "0" * 64}],
          "seconds": {"load": 1.0, "total": 1.5}, "warnings": []}


class Reader(HTMLParser):
    """The elements of a page, its texts, and the addresses in it."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.texts, self.addresses, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "data", "poster", "action")]
        if tag not in ("meta", "link", "img", "rect", "line", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("rect", "line", "circle"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Reports in HTML of the three verbs, of a registration's inputs and of a cohort, in one folder."""
    folder = tmp_path_factory.mktemp("reports")
    meddl.save(blobs(), folder / "Jane.nii.gz")
    meddl.save(blobs((9, 0, -6)), folder / "moving.nrrd")
    meddl.save(Volume.scalar(blobs().data[0, :, :, ::4], AFFINE @ np.diag([1, 1, 4, 1])), folder / "thick.nii.gz")
    assert run("register", folder / "Jane.nii.gz", folder / "moving.nrrd", "--transform", folder / "t.tfm",
               "--report", folder / "register.html", "--levels-mm", "8", *CPU) == 0
    assert run("superres", folder / "thick.nii.gz", "-o", folder / "sharp.nii.gz", "--method", "cubic", "--report",
               folder / "superres.html", *CPU) == 0
    assert run("segment", folder / "Jane.nii.gz", "-o", folder / "labels.nii.gz", "--report",
               folder / "segment.html", "--atlas-label-maps", "0", *CPU) == 0
    rows = (Row(f"case {number}", "done", 1.0, volumes_ml={"right cerebellum white matter": number, "liver": 900.0})
            for number in range(4))
    content = cohort_record(RECORD, Summary(tuple(rows), ("right cerebellum white matter", "liver"), {}))
    (folder / "cohort.html").write_text(page(content, []), encoding="utf-8")
    return folder


def read(path) -> Reader:
    reader = Reader(path.read_text(encoding="utf-8"))
    assert not [tag for tag in reader.open if tag not in ("html", "body")]
    return reader


@pytest.mark.parametrize(("name", "pictures", "texts"), [
    ("register", 12, ("Checkerboard", "Difference", "metric, after", "rotation deg", "fixed is brighter")),
    ("superres", 9, ("Before", "After", "residual", "Super-resolution")),
    ("segment", 6, ("Outlines", "left hippocampus", "all structures", "usual", "brain"))])
def test_a_page_shows_pictures_figures_and_how_it_was_made(files, name, pictures, texts):
    reader = read(files / f"{name}.html")
    assert reader.tags.count("img") == pictures and "svg" in reader.tags and "table" in reader.tags
    for text in (*texts, "For research only", "Limits", "SHA-256", "precision", meddl.__version__):
        assert text in reader.text, text
    assert "Jane" not in reader.text and str(files) not in reader.text


@pytest.mark.parametrize("name", ["register", "superres", "segment"])
def test_nothing_in_a_page_lies_outside_of_it(files, name):
    text = (files / f"{name}.html").read_text(encoding="utf-8")
    reader = read(files / f"{name}.html")
    assert reader.addresses and all(address.startswith("data:") for address in reader.addresses)
    assert not {"script", "iframe", "object"} & set(reader.tags)
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", re.sub(r"<td>.*?</td>", "", text))
    assert "default-src 'none'" in text
    pictures = [base64.b64decode(address.partition(",")[2]) for address in reader.addresses if "png" in address]
    assert all(one.startswith(b"\x89PNG") for one in pictures) and len(set(pictures)) == len(pictures)
    assert len(text) < 4e6


def test_texts_are_shown_as_texts():
    evil = "<script>alert('x')</script>"
    record = {**RECORD, "warnings": [evil], "volumes_ml": {evil: 1.0}, "confidence": {evil: 0.5}, "limits": [evil]}
    picture = np.zeros((4, 4, 3), np.uint8)
    text = page(record, [Figure(evil, evil, ((f"{evil}'", picture),), ((evil, (1, 2, 3)),))])
    assert "script" not in Reader(text).tags and evil not in text


def test_limits_are_a_list_of_sentences():
    limits = ["Adults of 0.5 to 2 mm alone. No tumors, e.g. gliomas! 3 cases failed.", "Not CT."]
    text = page({**RECORD, "limits": limits}, [])
    assert re.findall(r"<li>(.*?)</li>", text) == ["Adults of 0.5 to 2 mm alone.", "No tumors, e.g. gliomas!",
                                                   "3 cases failed.", "Not CT."]


def test_plots_draw_their_numbers():
    assert bars({"load": 1.0, "run": 2.0}, "s").count('class="bar"') == 2
    drawn = ranges({"a": 0.4, "b": 0.9, "c": 0.2}, {"a": (0.6, 0.8), "b": (0.6, 0.95)})
    assert drawn.count('class="low"') == 1 and drawn.count('class="usual"') == 2 and drawn.count('class="point"') == 2
    assert boxes({"liver": [1.0, 2.0, 3.0], "one": [5.0]}, "ml").count('class="dot"') == 4
    assert "2 ml" in boxes({"liver": [1.0, 2.0, 3.0]}, "ml")


# --- a cohort ---


def rows_of_ten() -> list[Row]:
    rows = [Row(f"Miller-{n}", "done", 2.0, {"liver": 100.0 + n, "spleen": 20.0}, confidence={"liver": 0.9},
                quality=1.0, sha256=(f"{n:064d}",), inputs=(f"/data/Miller-{n}.nii.gz",)) for n in range(9)]
    rows[3] = Row("Miller-3", "done", 2.0, {"liver": 300.0, "spleen": 20.0}, ("'Miller-3.nii.gz' is odd.",),
                  confidence={"liver": 0.5}, low=("liver",), quality=0.5, inputs=("/data/Miller-3.nii.gz",))
    failed = "/data/Miller-9.nii.gz"
    return [*rows, Row("Miller-9", "failed", error=f"'{failed}' is empty.", inputs=(failed,))]


def test_a_cohort_is_sorted_by_doubt_and_has_no_names():
    summary = Summary(tuple(rows_of_ten()), ("liver", "spleen"), {})
    content = cohort_record(RECORD, summary)
    cases = {case["case"]: case for case in content["cases"]}
    assert cases["case 4"]["reasons"] == ["'case 4' is odd.", "Confidence below the usual range: liver.",
                                          "Volume unlike that of the other cases: liver."]
    assert "Miller" not in json.dumps(content) and content["counts"]["failed"] == 1
    reader = Reader(page(content, []))
    shown = list(dict.fromkeys(re.findall(r"case \d+", reader.text)))
    assert shown[:2] == ["case 10", "case 4"]
    assert "Segmentation of 10 cases" in reader.text and "svg" in reader.tags
    named = cohort_record(RECORD, summary, with_names=True)
    assert [case["case"] for case in named["cases"]][:2] == ["Miller-0", "Miller-1"]


def test_thumbnails_are_drawn_of_what_is_still_there(tmp_path):
    meddl.save(blobs(), tmp_path / "a.nii.gz")
    labels = (blobs().scalar_data > 300).astype(np.uint8)
    found = meddl.Segmentation(labels, AFFINE, (meddl.Segment(1, "bright", (1, 0, 0)),))
    meddl.save_segmentation(found, tmp_path / "a.seg.nrrd")
    rows = (Row("a", "done", output=str(tmp_path / "a.seg.nrrd"), inputs=(str(tmp_path / "a.nii.gz"),)),
            Row("b", "done", output=str(tmp_path / "b.seg.nrrd"), inputs=(str(tmp_path / "a.nii.gz"),)))
    summary = Summary(rows, ("bright",), {})
    figures = thumbnails(summary, cohort_record(RECORD, summary))
    assert [figure.title for figure in figures] == ["case 1"]
    assert (figures[0].pictures[0][1] == (255, 0, 0)).all(axis=-1).any()


def test_a_folder_job_writes_a_page_with_a_thumbnail_of_each_case(tmp_path, models):
    for number in range(3):
        put(tmp_path / "in" / f"Miller-{number}.nii.gz", number)
    assert run("segment", tmp_path / "in", "-o", tmp_path / "out", "--model", "one", "--float32", "--report",
               tmp_path / "cohort.html", *CPU) == 0
    reader = read(tmp_path / "cohort.html")
    assert reader.tags.count("img") == 3 and "case 3" in reader.text and "Miller" not in reader.text
    assert "Segmentation of 3 cases" in reader.text


# --- in a browser ---


@needs_browser
@pytest.mark.slow
def test_a_browser_asks_for_nothing_outside_of_a_page(files, tmp_path):
    outside = tmp_path / "outside.html"
    outside.write_text("<img src='http://127.0.0.1:9/picture.png'>")
    assert "http://127.0.0.1:9/picture.png" in requested_addresses(outside, tmp_path)
    for name in ("register", "superres", "segment", "cohort"):
        assert not requested_addresses(files / f"{name}.html", tmp_path), name


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", ["register", "segment", "cohort"])
def test_a_page_fits_a_wide_and_a_narrow_window(files, name, width, tmp_path):
    found = layout(files / f"{name}.html", width, tmp_path)
    assert found["broken"] == 0 and (found["images"] > 5 or name == "cohort")
    assert found["needed"] <= found["width"] and not found["wide"], found
    assert not found["cut"] and not found["torn"], found
    screenshot(files / f"{name}.html", width, tmp_path / "page.png")
