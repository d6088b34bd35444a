"""Volume files read without ITK: NIfTI, NRRD and MetaImage, checked header first, then every voxel."""
