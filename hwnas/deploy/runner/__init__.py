"""What travels in a bundle: Python 3.8, numpy and the runtime alone; Pillow where images are to be read."""
