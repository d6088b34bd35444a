"""Training of the brain model: locator, segmenter, atlas."""
