"""Training of the classifier of `meddl.recognition`: on synthetic heads, and on synthetic volumes that are none."""
