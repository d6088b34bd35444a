"""MRML nodes to meddl's types and back."""
