"""Deformable registration: diffeomorphic fields, similarity, regularization, large-displacement search."""
