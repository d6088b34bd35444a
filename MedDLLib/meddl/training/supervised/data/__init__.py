"""The data of a training: found in a folder, read, and checked before anything is learned from them."""
