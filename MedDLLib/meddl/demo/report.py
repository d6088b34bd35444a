"""What the demo found, measured against the truth: numbers for JSON, and lines to read."""

from pathlib import Path

import numpy as np

from meddl.demo.sheets import cubic_volume
from meddl.demo.story import ROTATION_DEG, Story
from meddl.measures.overlap import dice
from meddl.registration.linear.motion import rotation_angle_deg
from meddl.registration.quality import dice_before_and_after
from meddl.results import Registration, Segmentation, SuperResolution
from meddl.spatial.grid import Grid
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume


def findings(story: Story, segmentation: Segmentation, registration: Registration, deformation: Registration | None,
             sharp: SuperResolution, wall_seconds: dict[str, float]) -> dict:
    """All that the demo found, as plain JSON.

    Args:
        segmentation: of `story.head`, with its report; on a grid that may be smaller than the head's.
        registration: of `story.moving` to `story.head`.
        deformation: of `story.other` to `story.head`, where there is one.
        sharp: of `story.thick`.
        wall_seconds: from the call to the result: segment, register, deform, super_resolve.
    """
    deformed = {}
    if deformation is not None:
        deformed = {"deformation": {**deformation.report, **deformation_accuracy(
            deformation, story.truth, story.other_truth)}}
    return {
        "head": {"name": story.name, "shape": list(story.head.shape), "spacing_mm": _round(story.head.spacing_mm)},
        "wall_seconds": {verb: round(seconds, 3) for verb, seconds in wall_seconds.items()},
        "segmentation": {**segmentation.report, **segmentation_accuracy(segmentation, story.truth)},
        "registration": {**registration.report, "moving": story.moving_name,
                         **registration_accuracy(registration, story.motion, story.head.grid)},
        **deformed,
        "super_resolution": {**sharp.report, **super_resolution_accuracy(sharp.volume, story.thick, story.fine)},
    }


def segmentation_accuracy(found: Segmentation, truth: Segmentation | None) -> dict:
    """Dice by structure name, and its mean; {} where the truth is not known."""
    if truth is None:
        return {}
    labels = found.labels
    if not found.grid.same_as(truth.grid):
        labels = resample(Volume.scalar(found.labels, found.affine), truth.grid, "nearest").scalar_data
    overlap = dice(labels, truth.labels, [segment.value for segment in truth.segments])
    by_name = {segment.name: round(float(value), 3)
               for segment, value in zip(truth.segments, overlap, strict=True) if np.isfinite(value)}
    brain, real = labels > 0, truth.labels > 0
    return {"dice": by_name, "mean_dice": round(float(np.nanmean(overlap)), 3),
            "all_structures_dice": round(float(2 * (brain & real).sum() / max(1, brain.sum() + real.sum())), 3)}


def registration_accuracy(found: Registration, motion: np.ndarray, grid: Grid) -> dict:
    """How far the found map is from the true one, over a lattice in the middle half of the field of view."""
    coordinates = np.stack(np.meshgrid(*[np.linspace(0.25, 0.75, 5)] * 3, indexing="ij"), -1).reshape(-1, 3)
    points = grid.points_mm(coordinates * (np.array(grid.shape) - 1))
    right = points @ motion[:3, :3].T + motion[:3, 3]
    error = np.linalg.norm(found.points(points) - right, axis=1)
    return {
        "before_mm": round(float(np.linalg.norm(right - points, axis=1).mean()), 3),
        "error_mm": {"mean": round(float(error.mean()), 3), "max": round(float(error.max()), 3)},
        "error_degrees": round(rotation_angle_deg(found.affine[:3, :3] @ motion[:3, :3].T), 3),
    }


def deformation_accuracy(found: Registration, fixed: Segmentation, moving: Segmentation) -> dict:
    """Mean Dice of both heads' true structures, before registration and after."""
    figures = dice_before_and_after(found, (fixed,), (moving,))
    return {"mean_dice": {"before": round(figures["before"], 3), "after": round(figures["after"], 3)}}


def super_resolution_accuracy(sharp: Volume, thick: Volume, fine: Volume | None) -> dict:
    """PSNR in dB of the result and of cubic interpolation; only the sizes where the truth is not known."""
    figures = {"thick_spacing_mm": _round(thick.spacing_mm), "sharp_spacing_mm": _round(sharp.spacing_mm)}
    if fine is None:
        return figures
    on_fine = sharp if sharp.grid.same_as(fine.grid) else resample(sharp, fine.grid)
    cubic = cubic_volume(thick)
    baseline = cubic if cubic.grid.same_as(fine.grid) else resample(cubic, fine.grid, "cubic")
    return {**figures, "psnr_db": round(psnr_db(on_fine.data, fine.data), 2),
            "cubic_psnr_db": round(psnr_db(baseline.data, fine.data), 2)}


def psnr_db(values: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB: the truth's range against the root mean square error."""
    error = np.mean((np.asarray(values, dtype=np.float32) - np.asarray(truth, dtype=np.float32)) ** 2,
                    dtype=np.float64)
    peak = float(truth.max()) - float(truth.min())
    return float(10 * np.log10(peak**2 / error)) if error > 0 else float("inf")


def text(report: dict) -> str:
    """The findings in lines for the user."""
    head, wall = report["head"], report["wall_seconds"]
    lines = [f"MedDL demo: {head['name']}, {_times(head['shape'])} voxels of {_times(head['spacing_mm'])} mm, "
             f"on {report['segmentation'].get('device', 'cpu')}", ""]
    lines += _segmentation_lines(report["segmentation"], wall["segment"])
    lines += ["", *_registration_lines(report["registration"], wall["register"])]
    if "deformation" in report:
        lines += ["", *_deformation_lines(report["deformation"], wall["deform"])]
    lines += ["", *_super_resolution_lines(report["super_resolution"], wall["super_resolve"])]
    lines += ["", f"Total: {sum(wall.values()):.1f} s of work"]
    return "\n".join(lines)


def _segmentation_lines(figures: dict, wall: float) -> list[str]:
    lines = [f"Segmentation with model {figures['model']}: {wall:.1f} s ({_stages(figures)})"]
    overlap, sure = figures.get("dice"), figures.get("confidence", {})
    lines.append(f"  {'structure':32}{'volume':>12}{'confidence':>12}{'Dice':>8}".rstrip() if overlap else
                 f"  {'structure':32}{'volume':>12}{'confidence':>12}")
    for name, volume in figures["volumes_ml"].items():
        row = f"  {name:32}{volume:9.2f} ml{sure.get(name, 0):12.2f}"
        if overlap:
            row += f"{overlap[name]:8.2f}" if name in overlap else f"{'-':>8}"
        lines.append(row)
    if overlap:
        lines.append(f"  mean Dice against the truth {figures['mean_dice']:.2f}, all structures as one "
                     f"{figures['all_structures_dice']:.2f}")
    return lines + _warnings(figures)


def _registration_lines(figures: dict, wall: float) -> list[str]:
    error = figures["error_mm"]
    what = "the same volume" if figures["moving"] == "same" else f"the head in {figures['moving']}"
    return [
        f"Registration of {what}, turned by {ROTATION_DEG:g} degrees and shifted: {wall:.1f} s ({_stages(figures)})",
        f"  apart {figures['before_mm']:.1f} mm before; error {error['mean']:.2f} mm on average, {error['max']:.2f} mm "
        f"at most, {figures['error_degrees']:.2f} degrees",
        *_warnings(figures)]


def _deformation_lines(figures: dict, wall: float) -> list[str]:
    overlap = figures["mean_dice"]
    return [
        f"Deformable registration of another subject's head: {wall:.1f} s ({_stages(figures)})",
        f"  mean Dice of the true structures {overlap['before']:.2f} before, {overlap['after']:.2f} after; "
        f"{figures['folding_percent']:.3f} % of the voxels folded",
        *_warnings(figures)]


def _super_resolution_lines(figures: dict, wall: float) -> list[str]:
    lines = [f"Super-resolution from {_times(figures['thick_spacing_mm'])} mm to "
             f"{_times(figures['sharp_spacing_mm'])} mm: {wall:.1f} s ({_stages(figures)})"]
    if "psnr_db" in figures:
        lines.append(f"  PSNR against the truth {figures['psnr_db']:.1f} dB; cubic interpolation "
                     f"{figures['cubic_psnr_db']:.1f} dB")
    return lines + _warnings(figures)


def registration_texts(found: dict) -> list[tuple[str, str]]:
    """Captions of the pictures before and after each registration: how far the volumes are from each other."""
    figures = found["registration"]
    texts = [(f"Before: {figures['before_mm']:.1f} mm between the same places",
              f"After rigid registration: {figures['error_mm']['mean']:.2f} mm, measured against the known motion")]
    if "deformation" in found:
        overlap = found["deformation"]["mean_dice"]
        texts.append((f"Before, the head of another subject: mean Dice of the true structures {overlap['before']:.2f}",
                      f"After deformable registration: mean Dice {overlap['after']:.2f}"))
    return texts


def sizes_text(folder: str | Path) -> str:
    """The files that the demo left, with their sizes, the largest first."""
    files = sorted((path for path in Path(folder).iterdir() if path.is_file()), key=lambda path: -path.stat().st_size)
    total = sum(path.stat().st_size for path in files)
    return "\n".join([f"Results and pictures in {folder}, {_size(total)}:",
                      *(f"  {_size(path.stat().st_size):>10}  {path.name}" for path in files)])


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _stages(figures: dict) -> str:
    return ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in figures["seconds"].items() if stage != "total")


def _warnings(figures: dict) -> list[str]:
    return [f"  note: {warning}" for warning in figures.get("warnings", [])]


def _times(numbers) -> str:
    return " x ".join(f"{number:.3g}" for number in numbers)


def _round(numbers) -> list[float]:
    return [round(float(number), 4) for number in numbers]
