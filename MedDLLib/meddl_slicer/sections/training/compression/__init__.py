"""Smaller models from the training sections: the verb, what the worker runs, and the section *Smaller model*."""
