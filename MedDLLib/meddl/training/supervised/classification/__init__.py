"""Training of a classifier on volumes of one's own: one class a folder, or a table."""
