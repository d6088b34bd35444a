"""The figures of a run's report in plain words, as a table for a label. Its warnings stand in the panel's banner."""

from collections.abc import Iterable
from html import escape

from slicer.i18n import tr as _

from meddl_slicer.panels.options import in_words


def registration_text(report: dict) -> str:
    """What a registration has reached and whether to trust it, as HTML."""
    metric = report.get("metric", {})
    rows = [
        (_("Similarity ({name})").format(name=in_words(metric.get("name", ""))), _change(metric, 3)),
        (_("Quality estimate"), _quality(report)),
        (_("Fixed object inside the moving volume"), _percent(report.get("overlap"))),
        (_("Rotation"), _number(report.get("rotation_deg"), 1, " degrees")),
        (_("Translation"), _along_axes(report.get("translation_mm"))),
        (_("Landmark error"), _change(report.get("landmarks_mm"), 2, " mm")),
        (_("Target registration error"), _change(report.get("tre_mm"), 2, " mm")),
        (_("Overlap of structures (Dice)"), _change(report.get("dice"), 3)),
        (_("Voxels where the transform folds"), _number(report.get("folding_percent"), 3, " %")),
        (_("Largest error of the inverse transform"), _error(report.get("inverse_error_mm"))),
        (_("SD of the log Jacobian determinant"), _number(report.get("sd_log_jacobian"), 3)),
        (_("Time"), _seconds(report.get("seconds"))),
        (_("Memory"), _number(report.get("peak_memory_mb"), 0, " MB")),
    ]
    return _table(rows)


def series_text(report: dict) -> str:
    """How much the frames of a time series moved and what was gained by taking it out, as HTML."""
    steps = report.get("framewise_displacement_mm") or ()
    mean, largest = (sum(steps[1:]) / (len(steps) - 1), max(steps)) if len(steps) > 1 else (None, None)
    rows = [
        (_("Frames"), str(len(steps)) if steps else None),
        (_("Motion from frame to frame, on average"), _number(mean, 2, " mm")),
        (_("Largest motion from frame to frame"), _number(largest, 2, " mm")),
        (_("Standard deviation over time"), _change(report.get("temporal_sd"), 2)),
        (_("Time"), _seconds(report.get("seconds"))),
        (_("Memory"), _number(report.get("peak_memory_mb"), 0, " MB")),
    ]
    return _table(rows)


def super_resolution_text(report: dict) -> str:
    """What a super-resolution did and how true it stayed to the measurement, as HTML."""
    spacing = report.get("spacing_mm", {})
    profile = report.get("profile")
    noise = report.get("noise_sigma") or [None]
    learned = report.get("held_out_psnr_db") or {"before": None, "after": None}
    rows = [
        (_("Method"), report.get("method")),
        (_("Factor"), _vector(report.get("factors"), "")),
        (_("Voxel size before"), _vector(spacing.get("before"))),
        (_("Voxel size after"), _vector(spacing.get("after"))),
        (_("Slice thickness assumed"), _number(report.get("thickness_mm"), 2, " mm")),
        (_("Fraction of it that was corrected for"), _percent(report.get("thickness_share"))),
        (_("Slice profile assumed"), in_words(profile) if isinstance(profile, str) else _vector(profile, "")),
        (_("Noise of the volume"), _number(noise[0], 3)),
        (_("Residual to the measured slices"), _number(report.get("residual_over_noise"), 2, _(" × the noise"))
         or _number(report.get("residual"), 3)),
        *_stack_rows(report.get("stacks", ())),
        (_("PSNR of held-out images, before training"), _number(learned["before"], 2, " dB")),
        (_("PSNR of held-out images, after training"), _number(learned["after"], 2, " dB")),
        (_("Synthesized texture, mean"), _number(report.get("difference_mean"), 2, _(" × the noise")
                                                    if report.get("difference_unit") == "noise" else "")),
        (_("PSNR against the reference"), _number(report.get("psnr_db"), 2, " dB")),
        (_("SSIM against the reference"), _number(report.get("ssim"), 4)),
        (_("NRMSE against the reference"), _number(report.get("nrmse"), 4)),
        (_("Time"), _seconds(report.get("seconds"))),
        (_("Memory"), _number(report.get("peak_memory_mb"), 0, " MB")),
    ]
    return _table(rows)


def _stack_rows(stacks: Iterable[dict]) -> list[tuple[str, str | None]]:
    """What became of each of several stacks."""
    return [(_("Stack {number}").format(number=number), ", ".join(text for text in (
        _number(stack.get("rotation_deg"), 2, "°"), _vector(stack.get("translation_mm")),
        _number(stack.get("residual_over_noise"), 2, _(" × the noise")),
        _number(stack.get("slice_motion_mm", {}).get("median"), 2, _(" mm of slice motion"))) if text))
        for number, stack in enumerate(stacks, start=1)]


def _table(rows: Iterable[tuple[str, str | None]]) -> str:
    lines = "".join(f"<tr><td>{escape(name)}:&nbsp;&nbsp;</td><td>{escape(text)}</td></tr>"
                    for name, text in rows if text)
    return f"<table>{lines}</table>"


def _number(value, digits: int, unit: str = "") -> str | None:
    return f"{value:.{digits}f}{unit}" if isinstance(value, (int, float)) else None


def _quality(report: dict) -> str | None:
    """The number from 0 to 1, and its word."""
    words = {"right": _("right"), "doubtful": _("doubtful"), "failed": _("failed")}
    word = words.get(report.get("quality_estimate", {}).get("word"))
    return _number(report.get("quality"), 2, f" ({word})" if word else "")


def _percent(value) -> str | None:
    return None if value is None else _number(100 * value, 0, " %")


def _vector(values, unit: str = " mm") -> str | None:
    return " × ".join(f"{value:.3g}" for value in values) + unit if values else None


def _error(value) -> str | None:
    """A distance, or the largest of several."""
    return _number(value.get("max") if isinstance(value, dict) else value, 3, " mm")


def _along_axes(values) -> str | None:
    if not values:
        return None
    return ", ".join(f"{name} {value:.1f}" for name, value in zip("RAS", values, strict=True)) + " mm"


def _change(value, digits: int, unit: str = "") -> str | None:
    """A figure, or one before and after."""
    if not isinstance(value, dict):
        return _number(value, digits, unit)
    parts = [value.get(key) for key in ("before", "after")]
    before, after = (_number(part.get("mean") if isinstance(part, dict) else part, digits, unit) for part in parts)
    if before is None or after is None:
        return before or after
    return _("{before} before, {after} after").format(before=before, after=after)


def _seconds(seconds: dict | None) -> str | None:
    """The total, and each stage."""
    stages = {name: value for name, value in (seconds or {}).items() if name != "total"}
    if not stages:
        return None
    total = (seconds or {}).get("total", sum(stages.values()))
    parts = ", ".join(f"{name} {value:.1f}" for name, value in stages.items() if value >= 0.05)
    return f"{total:.1f} s" + (f" ({parts})" if parts else "")
