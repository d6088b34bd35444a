"""Models in the formats of others, each converted once into a card and safetensors. Nothing of theirs is executed."""
