"""nnU-Net v2 model folders: plans, dataset and checkpoint."""
