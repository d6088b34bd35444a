"""MedDL's entries in the right-click menu of the Data module."""
