"""A class for every pixel: folders of images and masks, Cityscapes. numpy and Pillow only.

    data = load_segmentation("streets", size=(240, 320))
    for images, masks in epoch_segmentation(data.train, 16, rng): ...
"""

from hwnas.data.segmentation.augment import SegmentationFeed, SegmentationPolicy, epoch_segmentation
from hwnas.data.segmentation.load import load_segmentation
from hwnas.data.segmentation.parts import SegmentationData, SegmentationPart

__all__ = ["SegmentationData", "SegmentationFeed", "SegmentationPart", "SegmentationPolicy", "epoch_segmentation",
           "load_segmentation"]
