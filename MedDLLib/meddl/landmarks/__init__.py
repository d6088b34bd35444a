"""Landmarks: named points in a head of any contrast and AC-PC alignment; and those that a model of one's own finds.

Files: `find` (`meddl.find_landmarks`), `own` (with a model of one's own), `result` (what it gives), `structure_centers`
(from label maps), `commissures` (AC and PC), `alignment` (the transform to AC-PC coordinates). The command is
`meddl.cli.landmarks`.
"""
