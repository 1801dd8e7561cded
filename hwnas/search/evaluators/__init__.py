"""What gives an architecture its score, a file each."""
