"""Classifiers of one's own: the verbs on nodes, and the sections *Classify* and *Train a classifier*."""
