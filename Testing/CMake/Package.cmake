# Packaging is Slicer's; here there is nothing to do.
