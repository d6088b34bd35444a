"""The commands that users type: each adds its options to a parser, and runs."""
