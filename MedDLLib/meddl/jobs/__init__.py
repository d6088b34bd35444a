"""Many volumes as one job: a folder in, a folder of results and one table out.

    import meddl
    summary = meddl.segment_many("scans", "labels", model="brain")
    summary = meddl.register_many("scans", "registered", fixed="template.nii.gz")
    summary = meddl.super_resolve_many("scans", "sharp")

Worker processes, on this machine or on several through Ray, stay warm and run one case after the other.

Files: `segment_many`, `register_many` and `super_resolve_many` (the verbs), `job` (what they have in common), `cases`
(what a folder holds), `pairs` (which volume is registered to which), `one_case` (what a worker does), `schedule` (which
worker does what), `local` and `ray_cluster` (the workers), `journal` (what is done, to go on from), `summary` (the
table).
"""
