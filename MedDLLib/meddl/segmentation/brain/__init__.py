"""The brain model: localization, network, atlas and mixture model, labels at the volume's own resolution."""
