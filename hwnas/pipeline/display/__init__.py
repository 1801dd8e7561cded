"""What a person sees of a run: while it works, and when it is shown."""
