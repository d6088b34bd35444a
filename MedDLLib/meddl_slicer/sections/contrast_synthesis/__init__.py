"""Contrast synthesis: a head as T1, T2 or FLAIR would show it, as a volume node."""
