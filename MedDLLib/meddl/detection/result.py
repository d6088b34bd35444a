"""What detection gives."""

from dataclasses import dataclass

from meddl.spatial.points import Boxes, Points


@dataclass(frozen=True, eq=False)
class Detection:
    """Places of all landmarks and boxes of a model, the uncertain ones too.

    Attributes:
        points: in RAS mm.
        boxes: along R, A and S.
        confidence: of the points, then of the boxes: the probability that it lies there, 0 to 1.
    """

    points: Points
    boxes: Boxes
    confidence: tuple[float, ...]
