"""Models in the formats of others, each turned once into a card and safetensors. Nothing of theirs is executed."""
