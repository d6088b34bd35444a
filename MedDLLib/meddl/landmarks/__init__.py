"""Landmarks of the brain: named points in a head of any contrast, and AC-PC alignment.

Files: `find` (`meddl.find_landmarks`), `result` (what it gives), `structure_centers` (from label maps), `commissures`
(AC and PC), `alignment` (the transform to AC-PC coordinates), `command` (`meddl landmarks`).
"""
