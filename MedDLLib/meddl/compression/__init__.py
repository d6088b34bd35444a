"""Compression of installed models: channels pruned, what is left distilled, weights stored in 8 bits."""
