"""Detection: where landmarks and boxes that a model of one's own has learned lie in a volume.

Files: `detect` (a model on a volume), `result` (what it gives), `view` (what the network sees of a volume), `peaks`
(from the network's scores to places),
`mirrors` (names of left and right). `meddl.find_landmarks` is the verb.
"""
