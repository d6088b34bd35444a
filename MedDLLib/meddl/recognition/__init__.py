"""Recognition: what a volume shows, and whether its axes fit the anatomy.

A small classifier looks at a coarse copy of the volume. What intensities and sizes say for certain (Hounsfield units,
lungs, a field of view that holds no head) is a rule and not learned; what the classifier is not sure of is unknown.

Files: `recognize` (the question and its rules), `result` (what is said), `coarse` (what is looked at), `thinning` (how
many voxels of it are read), `outputs`
(those of the network), `orientations` (the ways a head may be turned), `info` and `command` (`meddl info`).
"""
