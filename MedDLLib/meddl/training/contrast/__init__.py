"""Training of the network of `meddl.contrast_synthesis`: rendered heads in, the same heads in T1, T2 and FLAIR out."""
