"""The networks, each from its paper or as its reference implementation has it."""
