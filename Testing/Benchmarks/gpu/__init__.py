"""The parts of gpu_run.py: what is compared, timed and trained on a GPU, and how it is kept."""
