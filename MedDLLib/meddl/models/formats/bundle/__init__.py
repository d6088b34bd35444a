"""MONAI bundles: their configuration read by an interpreter of the known transforms, never run."""
