"""Models of others that can be had, and models that are made of several."""
