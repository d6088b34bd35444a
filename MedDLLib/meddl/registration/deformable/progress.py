"""Progress of a deformable registration."""

from meddl.core.progress import ProgressCallback, UnevenProgress

PREPARED, DEFORMED = 0.05, 0.95  # fractions of the work after the images are prepared, and after the last step


class DeformationProgress(UnevenProgress):
    """From the preparation of the images to the inverse of the displacement."""

    def __init__(self, on_progress: ProgressCallback | None):
        super().__init__(on_progress, "Preparing the levels", PREPARED)
