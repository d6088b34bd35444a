"""A probabilistic atlas, registered to a head; Gaussian mixtures of its tissues; multi-atlas label fusion."""
