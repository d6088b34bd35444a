"""Measuring models on volumes with known labels: the tables of cards and README come from here."""
