"""What a run is asked for: its configuration, budgets, config files."""
