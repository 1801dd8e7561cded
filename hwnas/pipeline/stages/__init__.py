"""The stages of compress, one file each."""
