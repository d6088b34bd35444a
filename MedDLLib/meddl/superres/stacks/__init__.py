"""Several stacks of one subject, thick slices in different directions, as one isotropic volume."""
