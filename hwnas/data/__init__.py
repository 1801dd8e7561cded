"""Image classification data: four kinds of source, one value. numpy and Pillow only.

    data = load("digits")                         # or a folder, a .npz, a .parquet
    policy = policy_for(data)
    for images, labels in epoch(data.train_images, data.train_labels, 64, rng, policy): ...

How sources are laid out: folder.py, npz.py, parquet.py. A new kind of source is one file and a line in load.py.
"""

from hwnas.data.augment import Policy, augment, epoch, policy_for
from hwnas.data.dataset import Dataset
from hwnas.data.load import KNOWN, load

__all__ = ["KNOWN", "Dataset", "Policy", "augment", "epoch", "load", "policy_for"]
