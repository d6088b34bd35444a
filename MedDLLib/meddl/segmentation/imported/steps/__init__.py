"""What a model's inference specification does to an image before its networks see it, step by step."""
