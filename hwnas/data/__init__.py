"""Images and the truth about them, from folders, tables and arrays. numpy and Pillow only.

    data = load("digits")                         # or a folder, a .npz, a .parquet
    for images, labels in ClassFeed(data.train, policy_for(data)).epoch(64, rng): ...

A `Source` has the images and decodes those that are asked for; a data set is two parts of one, with the truth about
them; a `Feed` gives batches of a part, and `Reading` says by how many workers. Layouts: folder.py, npz.py, parquet.py,
detection/, segmentation/. A new kind of data is one file and a line in load.py.
"""

from hwnas.data.augment import ClassFeed, Policy, augment, epoch, policy_for
from hwnas.data.dataset import Dataset
from hwnas.data.encoded import EncodedSource
from hwnas.data.feed import Feed
from hwnas.data.load import KNOWN, load
from hwnas.data.reading import Reading, read_by
from hwnas.data.source import ArraySource, Source, Subset
from hwnas.data.views import ImageView

__all__ = ["KNOWN", "ArraySource", "ClassFeed", "Dataset", "EncodedSource", "Feed", "ImageView", "Policy",
           "Reading", "Source", "Subset", "augment", "epoch", "load", "policy_for", "read_by"]
