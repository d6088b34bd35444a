"""The bridge between 3D Slicer and `meddl`: MRML nodes to volumes and back, tasks, dependencies, widget parts.

At file scope these files import what Slicer ships and the foundation of `meddl` only; torch stays in the worker.
"""
