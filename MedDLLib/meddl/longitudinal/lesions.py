"""Lesions of two dates: which is which, and what became of each."""

from dataclasses import dataclass

import numpy as np

from meddl.comparison.matching import match_structures
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.longitudinal.config import ChangeConfig
from meddl.longitudinal.structures import percent_change
from meddl.results import Registration, Segment, Segmentation
from meddl.spatial.grid import Grid
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

NEW, GROWN, STABLE, SHRUNK, GONE, NOT_COVERED = "new", "grown", "stable", "shrunk", "gone", "not covered"
STATES = {NEW: (0.85, 0.1, 0.15), GROWN: (0.95, 0.55, 0.15), STABLE: (0.95, 0.9, 0.3), SHRUNK: (0.35, 0.75, 0.95),
          GONE: (0.15, 0.35, 0.85), NOT_COVERED: (0.6, 0.6, 0.6)}
_MOST_LESIONS = 5000
_SAMPLE = 2000       # points of a lesion that are looked up in the other date
_CORNERS = np.ones((3, 3, 3), bool)  # voxels that share a corner are connected
_COVERED = 0.5       # fraction of a lesion that has to lie in the other date's field of view


@dataclass(frozen=True, eq=False)
class _Parts:
    """The connected components of a structure at one date.

    Attributes:
        numbers: (I, J, K) int32, 0 or the component's number from 1.
        grid: of these voxels.
        volumes_ml: (N,) of each component.
        centers_mm: (N, 3) RAS mm, in the space of its date.
        points_mm: of each component (M, 3) RAS mm, some or all of its voxels.
    """

    numbers: np.ndarray
    grid: Grid
    volumes_ml: np.ndarray
    centers_mm: np.ndarray
    points_mm: list[np.ndarray]


def follow_lesions(baseline: Segmentation, follow_up: Segmentation, registration: Registration, config: ChangeConfig,
                   on_progress: ProgressCallback | None = None) -> tuple[list[dict], Segmentation]:
    """What became of each lesion: the connected components (26 neighbors) of each structure of both dates.

    A lesion of one date is one of the other where, under the registration, they have `config.overlap` of the smaller
    one's volume in common; several that belong to one (it has split, or they have merged) are one row. Its volumes are
    counted in the voxels of each date, before any resampling.

    Args:
        registration: from points of the baseline to points of the follow-up; its grid is that of the map.

    Returns:
        A dictionary for each lesion, the largest change first: `lesion` (a number), `structure`, `state` (one of
        STATES), `baseline_ml`, `follow_up_ml`, `change_ml`, `change_percent` (None for a new one), `center_mm` (in the
        baseline's space), `baseline_parts`, `follow_up_parts`; and the map of states on the registration's grid.

    Raises:
        InputError: thousands of components, which are no lesions.
    """
    rows: list[dict] = []
    grid = registration.grid or baseline.grid
    labels = np.zeros(grid.shape, np.uint8)
    pairs = match_structures(follow_up, baseline)
    for number, pair in enumerate(pairs):
        report(on_progress, number / len(pairs), f"Following {pair.name}")
        parts = [_parts_of(one, value) for one, value in ((baseline, pair.reference), (follow_up, pair.prediction))]
        shared, covered = _overlaps(parts[0], parts[1], registration)
        codes = [np.zeros(len(one.volumes_ml) + 1, np.uint8) for one in parts]
        for group in _groups(shared, config.overlap):
            row = _row_of(parts, group, covered, registration, config)
            if row is None:
                continue
            rows.append({"structure": pair.name, **row})
            for code, chosen in zip(codes, group, strict=True):
                code[chosen + 1] = list(STATES).index(row["state"]) + 1
        _paint(labels, parts, codes, registration)
    rows.sort(key=lambda row: -abs(row["change_ml"]))
    segments = tuple(Segment(value, state.capitalize(), color)
                     for value, (state, color) in enumerate(STATES.items(), start=1))
    return ([{"lesion": number, **row} for number, row in enumerate(rows, start=1)],
            Segmentation(labels, grid.affine, segments))


def count_states(rows: list[dict]) -> dict[str, int]:
    """How many lesions are in each state."""
    return {state: sum(row["state"] == state for row in rows) for state in STATES}


def _parts_of(segmentation: Segmentation, value: int | None) -> _Parts:
    from scipy import ndimage

    mask = np.zeros(segmentation.labels.shape, bool) if value is None else segmentation.labels == value
    numbers, count = ndimage.label(mask, _CORNERS)
    if count > _MOST_LESIONS:
        raise InputError(f"A structure has {count} connected components, more than {_MOST_LESIONS}: these are no "
                         "lesions. Leave the following of lesions out.")
    grid, points, centers = segmentation.grid, [], np.zeros((count, 3))
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        places = np.argwhere(numbers[box] == number) + [axis.start for axis in box]
        centers[number - 1] = grid.points_mm(places.mean(axis=0))
        points.append(grid.points_mm(places[::max(1, len(places) // _SAMPLE)]))
    volumes = np.bincount(numbers.ravel(), minlength=count + 1)[1:] * grid.voxel_volume_ml
    return _Parts(numbers, grid, volumes, centers, points)


def _overlaps(first: _Parts, second: _Parts, registration: Registration
              ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """(N, M) the fraction of the smaller one that a component of each date has in common, and of each component the
    fraction that lies in the other date's field of view, (N,) and (M,)."""
    shared = np.zeros((len(first.volumes_ml), len(second.volumes_ml)))
    covered = np.ones(shared.shape[0]), np.ones(shared.shape[1])
    fields = registration.moving_grid or second.grid, registration.grid or first.grid
    for here, there, to_there, axis in ((first, second, registration.points, 0),
                                        (second, first, registration.inverse_points, 1)):
        for number, points in enumerate(here.points_mm):
            moved = to_there(points)
            covered[axis][number] = float(_lookup(None, fields[axis], moved).mean())
            found = np.bincount(_lookup(there.numbers, there.grid, moved), minlength=len(there.volumes_ml) + 1)
            line = shared[number] if axis == 0 else shared[:, number]
            np.maximum(line, found[1:] / len(points), out=line)
    return shared, covered


def _lookup(values: np.ndarray | None, grid: Grid, points_mm: np.ndarray) -> np.ndarray:
    """The value of the nearest voxel, 0 outside; without values whether a point lies in the field of view."""
    indices = np.rint(grid.indices(points_mm)).astype(int)
    inside = ((indices >= 0) & (indices < grid.shape)).all(axis=1)
    if values is None:
        return inside
    found = np.zeros(len(indices), int)
    found[inside] = values[tuple(indices[inside].T)]
    return found


def _groups(shared: np.ndarray, overlap: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """The components of both dates, from 0, that are one lesion."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    size = shared.shape
    first, second = np.nonzero((shared > 0) & (shared >= overlap))
    total = size[0] + size[1]
    count, group = connected_components(coo_matrix((np.ones(len(first)), (first, size[0] + second)),
                                                   shape=(total, total)), directed=False)
    return [(np.flatnonzero(group[:size[0]] == one), np.flatnonzero(group[size[0]:] == one)) for one in range(count)]


def _row_of(parts: list[_Parts], group: tuple[np.ndarray, np.ndarray], covered: tuple[np.ndarray, np.ndarray],
            registration: Registration, config: ChangeConfig) -> dict | None:
    """The figures of a lesion; None where it is too small."""
    before, after = (float(one.volumes_ml[chosen].sum()) for one, chosen in zip(parts, group, strict=True))
    if max(before, after) < config.smallest_ml:
        return None
    percent = percent_change(before, after)
    if not (len(group[0]) and len(group[1])) and max(
            covered[side][chosen].max(initial=0.0) for side, chosen in enumerate(group)) < _COVERED:
        state = NOT_COVERED
    elif percent is None or not after:
        state = NEW if percent is None else GONE
    elif abs(percent) <= config.stable_percent:
        state = STABLE
    else:
        state = GROWN if percent > 0 else SHRUNK
    side = 0 if len(group[0]) else 1
    center = np.average(parts[side].centers_mm[group[side]], axis=0, weights=parts[side].volumes_ml[group[side]])
    if side == 1:
        center = registration.inverse_points(center[None])[0]
    return {"state": state, "baseline_ml": before, "follow_up_ml": after, "change_ml": after - before,
            "change_percent": percent, "center_mm": [round(float(one), 2) for one in center],
            "baseline_parts": len(group[0]), "follow_up_parts": len(group[1])}



def _paint(labels: np.ndarray, parts: list[_Parts], codes: list[np.ndarray], registration: Registration) -> None:
    """Write the states of a structure's lesions, codes by component number at each date, into the map."""
    grid = registration.grid or parts[0].grid
    here = resample(Volume.scalar(parts[0].numbers, parts[0].grid.affine), grid, "nearest")
    there = registration.warp(Volume.scalar(parts[1].numbers, parts[1].grid.affine), "nearest", grid)
    for numbers, code in zip((here, there), codes, strict=True):
        found = code[numbers.scalar_data]
        labels[found > 0] = found[found > 0]
