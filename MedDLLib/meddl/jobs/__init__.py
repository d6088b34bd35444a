"""Many volumes as one job: a folder in, a folder of segmentations and one table out.

    import meddl
    summary = meddl.segment_many("scans", "labels", model="brain")

Worker processes, on this machine or on several through Ray, keep the model loaded and run one case after the other.

Files: `segment_many` (the verb), `cases` (what a folder holds), `one_case` (what a worker does), `schedule` (which
worker does what), `local` and `ray_cluster` (the workers), `journal` (what is done, to go on from), `summary` (the
table).
"""
