"""The Python packages that a run needs: asked for, installed, and Slicer's own kept as they are."""
