"""Tumors in several modalities: patients, rendered and real, as data sets to train on and to measure on."""
