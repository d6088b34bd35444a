"""What a run shows in the slice views, and the way into the Segment Editor."""
