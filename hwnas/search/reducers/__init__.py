"""Which candidates of a space are left after a search, a file each."""
