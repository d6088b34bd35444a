"""Pictures of volumes and results as arrays and PNG files: slices in world space, labels, overlays, captions."""
