"""Where evaluations are computed, a file each."""
