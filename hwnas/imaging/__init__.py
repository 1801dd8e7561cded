"""One way from a stored image to the array that a network eats. Python 3.8, numpy and Pillow: it travels in bundles."""

__all__: list[str] = []
