"""What both kinds of registration see of a volume: registration image, pyramid, smoothing, vessels."""
