"""Training of segmentation on pairs of volumes and label maps: data set, findings, plan, task, model."""
