"""Recurrent networks: what follows a series frame by frame."""
