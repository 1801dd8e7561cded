"""Boxes on images: COCO JSON, Pascal VOC XML and YOLO text, one value. numpy and Pillow only.

    data = load_detection("cells", size=(320, 320))
    for images, boxes, labels, crowd in epoch_detection(data.train, 16, rng): ...

Layouts: coco.py, voc.py, yolo.py. A new one is one file and a line in load.py.
"""

from hwnas.data.detection.augment import DetectionFeed, DetectionPolicy, epoch_detection
from hwnas.data.detection.load import load_detection
from hwnas.data.detection.parts import DetectionData, DetectionPart, Frame

__all__ = ["DetectionData", "DetectionFeed", "DetectionPart", "DetectionPolicy", "Frame", "epoch_detection",
           "load_detection"]
