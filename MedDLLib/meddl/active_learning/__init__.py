"""Active learning: a model segments the volumes without labels, the least certain are corrected, it is trained on."""
