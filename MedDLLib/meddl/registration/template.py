"""A template: the mean of several volumes, in intensity and in shape, with the map from it to each of them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from meddl.core.config import TEMPLATE_ROUNDS, RegisterConfig, registration_config
from meddl.core.errors import InputError
from meddl.core.memory import peak_mb
from meddl.core.progress import ProgressCallback, report, span
from meddl.core.stage_clock import StageClock
from meddl.io import VolumeLike, as_volume
from meddl.registration.images.intensity import finite_scalar, foreground_mask
from meddl.registration.mean_frame import geometric_mean, mean_grid
from meddl.registration.register import content_key, register
from meddl.registration.views import footprint
from meddl.results import Registration, Template
from meddl.spatial.displacement import compose, invert
from meddl.spatial.grid import Grid
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

_LINEAR_FRACTION = 0.15  # of the work
_REGISTERED = 0.85    # of a round's
_POINTS = 50_000      # at which a change of shape is measured
_STRIDE = 2           # between the voxels of which intensities are measured


def build_template(volumes: Sequence[VolumeLike], config: RegisterConfig | None = None, *,
                   preset: str | None = None, rounds: int = TEMPLATE_ROUNDS, device: str = "auto",
                   on_progress: ProgressCallback | None = None) -> Template:
    """The mean of several volumes of one modality, unbiased by any of them.

    First a linear alignment, and the middle of all poses and sizes (`mean_frame.geometric_mean`), where the mean of the
    volumes is taken. Then, in each round, every volume is registered to that mean; the mean of all these maps is undone
    in each of them, so that the template's shape is in the middle too; and the mean is taken anew, each volume being
    sampled once. Methods: A. Guimond, J. Meunier, J.-P. Thirion, "Average brain models: a convergence study", Computer
    Vision and Image Understanding 77(2), 2000, doi:10.1006/cviu.1999.0815; B. B. Avants et al., "The optimal template
    effect in hippocampus studies of diseased populations", NeuroImage 49(3), 2010,
    doi:10.1016/j.neuroimage.2009.09.062. The order of the volumes changes nothing.

    Intensities are shifted and scaled so that the median around the object and the mean in it are the same in all
    volumes: the mean of what they were. Where some volumes do not reach, the others' mean stands.

    Args:
        volumes: one channel each, on grids of their own, or the paths of files. One alone is its own template.
        config: choices of `meddl.register`; default: the preset "Deformable".
        preset: the name of a preset in any case, instead of `config`.
        rounds: how often the volumes are registered to their mean.

    Returns:
        A template. Its report has seconds, device, peak_memory_mb, warnings, transform, volumes (how many) and rounds,
        a list with shape_change_mm (how far the points of the template's object moved, mean) and similarity (to the
        mean before the round: mean over the volumes of the value of their metric) of each.

    Raises:
        InputError: no volume, one without finite values or of one value only, of several channels or with too few
            voxels (each is named by its number, from 0), rounds below 1, an impossible choice, or volumes turned by
            half a turn against each other.
        OutOfMemoryError: the memory was not enough.
    """
    config = registration_config(config, preset, "Deformable")
    loaded = [as_volume(volume, f"volumes[{number}]") for number, volume in enumerate(volumes)]
    if not loaded:
        raise InputError("A template is built of one volume or more; none was given.")
    if isinstance(rounds, bool) or rounds != int(rounds) or rounds < 1:
        raise InputError(f"rounds is a whole number from 1; got {rounds!r}.")
    clock = StageClock()
    with clock.stage("prepare"):
        evened, around = _match_intensities(loaded, span(on_progress, 0.0, 0.02))
        keys = []
        for volume in loaded:
            report(on_progress, 0.02, "Reading the volumes")
            keys.append(content_key(volume))
        order = sorted(range(len(loaded)), key=keys.__getitem__)
    run = _Run([evened[number] for number in order], order, around, config, device)
    happened = []
    if len(loaded) == 1:
        image = evened[0].reorient("RAS")
        maps = [Registration(np.eye(4), None, image.grid, {}, loaded[0].grid)]
    else:
        with clock.stage("align"):
            affines, grid = run.align(span(on_progress, 0.02, _LINEAR_FRACTION - 0.02))
            maps = [Registration(affine, None, grid, {}, volume.grid)
                    for affine, volume in zip(affines, run.volumes, strict=True)]
            image = run.mean(maps, grid, span(on_progress, _LINEAR_FRACTION - 0.02, _LINEAR_FRACTION))
        for number in range(rounds):
            start, stop = (_LINEAR_FRACTION + (1 - _LINEAR_FRACTION) * at / rounds for at in (number, number + 1))
            part = span(on_progress, start, stop, f"Round {number + 1} of {rounds}, ")
            with clock.stage("register"):
                maps = run.register_all(image, maps, span(part, 0.0, _REGISTERED))
            similarity = float(np.mean([_similarity(one) for one in maps]))
            with clock.stage("average"):
                maps, change_mm = run.center(image, maps, span(part, _REGISTERED, 0.95))
                image = run.mean(maps, grid, span(part, 0.95, 1.0))
            happened.append({"shape_change_mm": change_mm, "similarity": similarity})
    report(on_progress, 1.0, "Done")
    return Template(image, tuple(maps[order.index(number)] for number in range(len(loaded))), {
        "seconds": clock.seconds,
        "device": run.device_used,
        "peak_memory_mb": round(peak_mb(), 1),
        "warnings": run.warnings,
        "transform": config.transform_type,
        "volumes": len(loaded),
        "rounds": happened,
    })


class _Run:
    """The volumes, in an order of their own, and how to register them.

    Args:
        numbers: how the caller counts the volumes.
        around: the value where no volume reaches.
    """

    def __init__(self, volumes: list[Volume], numbers: list[int], around: float, config: RegisterConfig, device: str):
        self.volumes, self.numbers, self.around = volumes, numbers, around
        self.config, self.device = config, device
        self.device_used, self.warnings = "", []

    def align(self, on_progress) -> tuple[list[np.ndarray], Grid]:
        """The affines (4x4) from the middle of all volumes to each, and the grid there."""
        kind = "affine" if self.config.transform_type == "deformable" else self.config.transform_type
        config = replace(self.config, transform_type=kind)
        affines = [np.eye(4)]
        for n, (number, volume) in enumerate(zip(self.numbers[1:], self.volumes[1:], strict=True)):
            part = _part(on_progress, n, len(self.volumes) - 1, number)
            affines.append(self._register(self.volumes[0], volume, config, None, number, part).affine)
        middle = np.linalg.inv(geometric_mean(affines))
        affines = [affine @ middle for affine in affines]
        return affines, mean_grid([volume.grid for volume in self.volumes], affines)

    def register_all(self, image: Volume, near: list[Registration], on_progress) -> list[Registration]:
        """The map from `image` to each volume; it starts from the affine of the one `near`."""
        return [self._register(image, volume, self.config, start.affine, number,
                               _part(on_progress, n, len(self.volumes), number))
                for n, (number, volume, start) in enumerate(zip(self.numbers, self.volumes, near, strict=True))]

    def _register(self, fixed, moving, config, initial, number, on_progress) -> Registration:
        found = register(fixed, moving, config, initial=initial, device=self.device, on_progress=on_progress)
        self.device_used = found.report["device"]
        for text in found.report["warnings"]:
            if f"Volume {number}: {text}" not in self.warnings:
                self.warnings.append(f"Volume {number}: {text}")
        return found

    def center(self, image: Volume, maps: list[Registration], on_progress) -> tuple[list[Registration], float]:
        """The maps without what they have in common, and how long that was over the image's object, in mm."""
        affine = geometric_mean([one.affine for one in maps])
        bent = [one.displacement for one in maps if one.displacement is not None]
        displacement = None
        if bent:
            total = np.zeros((3, *bent[0].shape), np.float32)
            for n, one in enumerate(bent):
                report(on_progress, 0.2 * n / len(bent), "averaging shapes")
                total += one.data if one.grid.same_as(bent[0].grid) else resample(one, bent[0].grid, clamp=True).data
            displacement = Volume(total / len(maps), bent[0].affine)
        common = Registration(affine, displacement, image.grid)
        inside = _STRIDE * np.argwhere(foreground_mask(_some(image.scalar_data)))
        points = image.grid.points_mm(inside[::max(1, len(inside) // _POINTS)])
        change_mm = float(np.linalg.norm(common.points(points) - points, axis=1).mean())
        back, undone = np.linalg.inv(affine), None
        if displacement is not None:
            back, undone, _ = invert(affine, displacement, image.grid, on_progress=span(on_progress, 0.2, 0.7))
        found = []
        for n, one in enumerate(maps):
            part = span(on_progress, 0.7 + 0.3 * n / len(maps), 0.7 + 0.3 * (n + 1) / len(maps))
            whole, field = compose(back, undone, one.affine, one.displacement, image.grid, part)
            found.append(Registration(whole, field, image.grid, one.report, one.moving_grid))
        return found, change_mm

    def mean(self, maps: list[Registration], grid: Grid, on_progress) -> Volume:
        """The mean of the volumes on the grid, of those that reach a voxel."""
        total, count = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.uint16)
        for n, (found, volume) in enumerate(zip(maps, self.volumes, strict=True)):
            part = span(on_progress, n / len(maps), (n + 1) / len(maps))
            reached = footprint(found, volume, span(part, 0.0, 0.4))
            warped = found.warp(volume, "linear", on_progress=span(part, 0.4, 1.0)).scalar_data
            report(part, 1.0, "averaging intensities")
            np.add(total, warped, out=total, where=reached)
            count += reached
        report(on_progress, 1.0, "averaging intensities")
        np.divide(total, count, out=total, where=count > 0)
        total[count == 0] = self.around
        return Volume.scalar(total, grid.affine)


def _match_intensities(volumes: list[Volume], on_progress) -> tuple[list[Volume], float]:
    """The volumes, float32, with the same median around the object and the same mean in it; and that median."""
    read = []
    for number, volume in enumerate(volumes):
        report(on_progress, number / len(volumes), "Reading the volumes")
        data, low, _ = finite_scalar(volume, f"input {number}")
        values = np.nan_to_num(data.astype(np.float32), nan=low, posinf=low, neginf=low)
        some = _some(values)
        inside = foreground_mask(some)
        around = low if inside.all() else float(np.median(some[~inside]))
        read.append((values, around, float(some[inside].mean(dtype=np.float64)) - around))
    around, contrast = (float(np.mean([one[part] for one in read])) for part in (1, 2))
    return [Volume.scalar((values - here) * np.float32(contrast / most) + np.float32(around), volume.affine)
            for (values, here, most), volume in zip(read, volumes, strict=True)], around


def _some(values: np.ndarray) -> np.ndarray:
    """Every second voxel along each axis: enough to measure intensities."""
    return values[::_STRIDE, ::_STRIDE, ::_STRIDE]


def _similarity(found: Registration) -> float:
    return found.report.get("deformable_metric", found.report["metric"])["after"]


def _part(on_progress: ProgressCallback | None, n: int, count: int, number: int) -> ProgressCallback | None:
    """A callback for one volume of several, named as the caller counts it; what it shows is not passed on."""
    return span(on_progress, n / count, (n + 1) / count, f"volume {number}: ", previews=False)
