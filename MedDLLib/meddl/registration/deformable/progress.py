"""Progress of a deformable registration."""

from meddl.core.progress import ProgressCallback, report


class DeformationProgress:
    """Reports the progress of the work, also between steps: each call is a chance to cancel."""

    def __init__(self, on_progress: ProgressCallback | None):
        self.on_progress, self.last = on_progress, (0.0, "Preparing the levels")

    def at(self, fraction: float, message: str) -> None:
        """The work is here now."""
        self.last = fraction, message
        self.again()

    def again(self) -> None:
        """The work is where it was; may raise Cancelled."""
        report(self.on_progress, *self.last)
