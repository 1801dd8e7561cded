"""The stages of compress, one file each; `table` has them in order."""
