"""Interactive segmentation in the Segment Editor: the effect *MedDL Paint and Predict*."""
