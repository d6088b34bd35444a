"""Model cards, the store of installed models, and their weights."""
