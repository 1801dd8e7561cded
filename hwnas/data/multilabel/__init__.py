"""Images with any number of labels each: tables, or the classes of the boxes of a detection data set."""

from hwnas.data.multilabel.data import LabelFeed, MultiLabelData
from hwnas.data.multilabel.load import load_multilabel

__all__ = ["LabelFeed", "MultiLabelData", "load_multilabel"]
