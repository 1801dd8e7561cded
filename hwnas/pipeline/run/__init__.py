"""A run on disk: its folder, what its stages found, and what follows from that without any computing."""
