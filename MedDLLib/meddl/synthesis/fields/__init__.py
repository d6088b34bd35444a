"""Smooth fields on a grid: noise, deformations, and control points enlarged to images."""
