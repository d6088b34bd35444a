"""Classification: which of the classes of a model of one's own a volume belongs to.

Files: `classify` (the verb), `result` (what it gives), `view` (what the network sees of a volume), `command`
(`meddl classify`).
"""
