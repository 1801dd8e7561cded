"""Exported models: their sessions and metadata, checks of them, what they say of images."""
