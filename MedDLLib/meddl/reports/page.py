"""A report as one page in HTML: pictures, tables and plots within the file itself; it asks for nothing else."""

import base64
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from meddl.pictures.slices import png_bytes
from meddl.reports.figures import Figure
from meddl.reports.plots import bars, boxes, ranges
from meddl.results import low_confidence

_STYLE = Path(__file__).with_name("style.css")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_TITLES = {"segment": "Segmentation", "register": "Registration", "superres": "Super-resolution",
           "register-series": "Motion correction", "template": "Template", "warp": "Resampling",
           "compare": "Comparison"}
# What stands in a section of its own, or is no figure.
_NO_FIGURES = {"meddl", "command", "use", "limits", "models", "configuration", "options", "device", "precision",
               "threads", "software", "inputs", "names", "seconds", "warnings", "volumes_ml", "confidence",
               "usual_confidence", "changed_by_options", "cases", "unused", "counts", "choices", "affine", "affines",
               "rows", "frames", "summary", "verb", "results"}
_MOST_NUMBERS = 12


def page(record: Mapping[str, Any], figures: Sequence[Figure]) -> str:
    """The page of a record.

    Args:
        record: of `meddl.reports.record.record_run` or `meddl.reports.cohort.cohort_record`.
        figures: its pictures; of a cohort one for each case, in the order of the cases.
    """
    title = _TITLES.get(record["command"], record["command"])
    cases = record.get("cases")
    if cases and isinstance(cases[0], Mapping):
        title += f" of {len(cases)} cases"
        shown = [_cohort(cases, figures)]
    else:
        shown = [_figures(figures), _structures(record)]
    seconds = record.get("seconds", {})
    models = ", ".join(f"{model['name']} ({model['id']} {model['version']})" for model in record["models"])
    head = [f"<h1>{escape(title)}</h1>",
            f"<p class='soft'>{escape(' · '.join(filter(None, (models, record['device'], _spent(seconds)))))}</p>",
            f"<p class='use'>{escape(record['use'])}</p>", *_warnings(record)]
    body = [*head, *shown, _section("Figures", _table(("figure", "value"), _numbers(record))),
            _section("Seconds", _scroll(bars({name: value for name, value in seconds.items() if name != "total"}, "s")))
            if len(seconds) > 1 else "",
            _section("Limits", _sentences(record["limits"])),
            _section("How it was made", _provenance(record))]
    return ("<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
            f"<meta http-equiv='Content-Security-Policy' content=\"{_POLICY}\">"
            "<meta name='viewport' content='width=device-width, initial-scale=1'>"
            f"<link rel='icon' href='data:,'><title>MedDL: {escape(title)}</title><style>{_style()}</style></head>"
            f"<body>{''.join(body)}</body></html>\n")


@functools.cache
def _style() -> str:
    return _STYLE.read_text(encoding="utf-8")


def _figures(figures: Sequence[Figure]) -> str:
    parts = []
    for figure in figures:
        views = "".join(_image(picture, text) for text, picture in figure.pictures)
        parts.append(f"<h3>{escape(figure.title)}</h3><p class='soft'>{escape(figure.text)}</p>"
                     f"<div class='views'>{views}</div>{_key(figure)}")
    return _section("Pictures", "".join(parts))


def _key(figure: Figure) -> str:
    if not figure.key:
        return ""
    swatches = "".join(f"<span><i style='background:rgb({red},{green},{blue})'></i>{escape(name)}</span>"
                       for name, (red, green, blue) in figure.key)
    return f"<p class='key'>{swatches}</p>"


def _image(picture: Any, text: str) -> str:
    data = base64.b64encode(png_bytes(picture)).decode()
    return (f"<img src='data:image/png;base64,{data}' width='{picture.shape[1]}' height='{picture.shape[0]}' "
            f"style='--w:{picture.shape[1]}' alt='{escape(text, quote=True)}'>")


def _structures(record: Mapping[str, Any]) -> str:
    """Volumes and confidences of a segmentation."""
    volumes, sure = record.get("volumes_ml") or {}, record.get("confidence") or {}
    if not volumes:
        return ""
    usual, low = record.get("usual_confidence", {}), low_confidence(dict(record))
    rows = [(name, f"{value:.2f}", f"{sure[name]:.2f}" if name in sure else "",
             f"{usual[name][0]:.2f}–{usual[name][1]:.2f}" if name in usual else "") for name, value in volumes.items()]
    rows.append(("all structures", f"{sum(volumes.values()):.2f}", "", ""))
    table = _table(("structure", "ml", "confidence", "usual"), rows, right=(1, 2, 3), low=set(low))
    text = "<p class='soft'>Mean probability of the label over its voxels; the band is the usual range.</p>"
    plot = _section("Confidence", text + _scroll(ranges(sure, usual))) if sure else ""
    return f"<div class='beside'>{_section('Volumes', table)}{plot}</div>"


def _cohort(cases: Sequence[Mapping[str, Any]], figures: Sequence[Figure]) -> str:
    """Thumbnails, the most doubtful first, a table, and box plots of the volumes."""
    pictures = {figure.title: figure for figure in figures}
    cards = []
    for case in sorted(cases, key=lambda case: -case["doubt"]):
        name, figure = _case_name(case), pictures.get(_case_name(case))
        image = "".join(_image(picture, text) for text, picture in figure.pictures) if figure else ""
        figure_text = ", ".join(filter(None, (
            case["state"], _label("quality", case["quality"]), _label("confidence", case["confidence"]),
            f"{case['total_ml']:.1f} ml" if case["volumes_ml"] else "")))
        reasons = "".join(f"<p class='warning'>{escape(text)}</p>" for text in case["reasons"])
        cards.append(f"<div class='case{' check' if case['reasons'] else ''}'><h3>{escape(name)}</h3>{image}"
                     f"<p class='soft'>{escape(figure_text)}</p>{reasons}</div>")
    table = _table_of_cases(cases)
    names = dict.fromkeys(name for case in cases for name in case["volumes_ml"])
    listed = {name: [case["volumes_ml"][name] for case in cases if name in case["volumes_ml"]] for name in names}
    text = "<p class='soft'>Quality is the fraction of the structures whose confidence is in its usual range.</p>"
    text = text if listed else ""
    return (_section("Cases, the most doubtful first", text + f"<div class='cases'>{''.join(cards)}</div>")
            + _section("All cases", table) + (_section(
                "Volumes", "<p class='soft'>Each structure over its own scale: range, quartiles and median.</p>"
                + _scroll(boxes(listed, "ml"))) if listed else ""))


def _table_of_cases(cases: Sequence[Mapping[str, Any]]) -> str:
    """State, quality and figures of each case; of segmentations confidence and total volume."""
    figures = list(dict.fromkeys(name for case in cases for name in case.get("figures", ())))
    columns: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "quality": lambda case: _round(case["quality"])} if not figures or any(
            case["quality"] is not None for case in cases) else {}
    if figures:
        columns |= {name: lambda case, name=name: _cell(case["figures"].get(name)) for name in figures}
    else:
        columns |= {"confidence": lambda case: _round(case["confidence"]),
                    "total ml": lambda case: f"{case['total_ml']:.1f}" if case["volumes_ml"] else ""}
    rows = [(_case_name(case), case["state"], *(of(case) for of in columns.values()), f"{case['seconds']:.1f}")
            for case in cases]
    return _table(("case", "state", *columns, "s"), rows, right=tuple(range(2, len(columns) + 3)))


def _cell(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.4g}"


def _case_name(case: Mapping[str, Any]) -> str:
    return case["case"] if case["frame"] is None else f"{case['case']}, frame {case['frame']}"


def _warnings(record: Mapping[str, Any]) -> list[str]:
    texts = [*record.get("warnings", ()), *record.get("changed_by_options", ())]
    return [f"<p class='warning'>{escape(text)}</p>" for text in texts]


def _numbers(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures of a report that have no section of their own, one a row."""
    return [row for name, value in record.items() if name not in _NO_FIGURES for row in _flat(name, value)]


def _flat(name: str, value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping):
        for inner, one in value.items():
            yield from _flat(f"{name}, {inner}", one)
    else:
        yield name.replace("_", " ").replace(" mb", " MB"), _format(value)


def _format(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list | tuple):
        more = f", ... ({len(value)} values)" if len(value) > _MOST_NUMBERS else ""
        return ", ".join(map(_format, value[:_MOST_NUMBERS])) + more
    return str(value)


def _provenance(record: Mapping[str, Any]) -> str:
    """Configuration, programs, inputs and, where they were asked for, names."""
    programs = {"MedDL": record["meddl"], **record["software"], "device": record["device"],
                "precision": record["precision"], "threads": record["threads"]}
    parts = [_table(("program", "version"), [(name, str(value)) for name, value in programs.items()])]
    for model in record["models"]:
        parts.append(_table(("model", ""), [(name, str(value)) for name, value in model.items()
                                            if value and name not in ("limits", "parts")]))
    choices = {**(record["configuration"] or {}), **record["options"]}
    if choices:
        rows = [(name, "automatic" if value in (None, [], ()) else _format(value)) for name, value in choices.items()]
        parts.append(_table(("option", "value"), rows))
    if record["inputs"]:
        parts.append(_table(("input", "SHA-256"), [(one["role"], one["sha256"]) for one in record["inputs"]]))
    if "names" in record:
        names = record["names"]
        rows = [("date", names["date"]), ("command line", names["command_line"])]
        rows += [(one["role"], one["path"]) for one in names["inputs"]]
        parts.append(_table(("name", "value"), [*rows, *(("output", path) for path in names["outputs"])]))
    return "".join(parts)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (),
           low: Iterable[str] = ()) -> str:
    """A table that scrolls by itself; rows whose first cell is in `low` are colored."""
    if not rows:
        return ""
    marked = set(low)

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}{' class=number' if number in right else ''}>{escape(text)}</{tag}>"
                       for number, text in enumerate(row))

    lines = "".join(f"<tr{' class=low' if row[0] in marked else ''}>{cells(row, 'td')}</tr>" for row in rows)
    kind = " class=numbers" if right else ""
    return _scroll(f"<table{kind}><thead><tr>{cells(header, 'th')}</tr></thead><tbody>{lines}</tbody></table>")


def _sentences(texts: Iterable[str]) -> str:
    """A list with a point for each sentence."""
    points = [part for text in texts for part in re.split(r"(?<=[.!?]) +(?=[A-Z0-9])", text)]
    return f"<ul>{''.join(f'<li>{escape(point)}</li>' for point in points)}</ul>" if points else ""


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def _scroll(content: str) -> str:
    return f"<div class='scroll'>{content}</div>"


def _spent(seconds: Mapping[str, float]) -> str:
    return f"{seconds['total']:.1f} s" if "total" in seconds else ""


def _round(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _label(name: str, value: float | None) -> str:
    return "" if value is None else f"{name} {value:.2f}"
