"""What `meddl.find_landmarks` returns."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from meddl.core.errors import InputError
from meddl.io.points import save_points
from meddl.landmarks.alignment import ac_pc_matrix
from meddl.results import Registration
from meddl.spatial.points import Boxes, Points

AC, PC = "AC", "PC"


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Named points of a head, or the points and boxes of a model of one's own.

    Attributes:
        points: names, and positions in RAS mm.
        confidence: of each point, 0 to 1: the mean probability of the structures that it was found from; with a model
            of one's own the probability that it lies there.
        lateral_direction: (3,) unit, the direction across the mid-sagittal plane, left to right; None where no
            structure was found in both hemispheres.
        boxes: along R, A and S, of a model of one's own.
        box_confidence: of each box, 0 to 1.
        report: model, seconds by stage, device, warnings, missing (names of the landmarks that were not found).
    """

    points: Points
    confidence: tuple[float, ...]
    lateral_direction: np.ndarray | None
    report: dict = field(default_factory=dict)
    boxes: Boxes = field(default_factory=Boxes.none)
    box_confidence: tuple[float, ...] = ()

    def __getitem__(self, name: str) -> np.ndarray:
        """The position of a landmark, (3,) RAS mm. Raises InputError where it was not found."""
        if name not in self.points.labels:
            raise InputError(f"There is no landmark '{name}'. Found: {', '.join(self.points.labels)}.")
        return self.points.positions[self.points.labels.index(name)]

    @property
    def ac_pc_matrix(self) -> np.ndarray:
        """4x4, rigid, from RAS mm to AC-PC coordinates: see `alignment.ac_pc_matrix`. Raises InputError without AC, PC
        or the direction across."""
        if self.lateral_direction is None:
            raise InputError("No structure was found in both hemispheres: there is no mid-sagittal plane.")
        return ac_pc_matrix(self[AC], self[PC], self.lateral_direction)

    @property
    def alignment(self) -> Registration:
        """AC-PC alignment as a transform from points in AC-PC coordinates to points of the volume: `warp` resamples the
        volume upright, `save` writes the file for ITK and Slicer. Raises as `ac_pc_matrix`."""
        return Registration(np.linalg.inv(self.ac_pc_matrix), None, None, {"transform": "rigid"})

    def save(self, path: str | Path) -> None:
        """Write the points, and the boxes as ROIs: see `meddl.io.points.save_points`."""
        save_points(self.points, path, [f"confidence {one:.2f}" for one in (*self.confidence, *self.box_confidence)],
                    self.boxes)
