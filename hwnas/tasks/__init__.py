"""What the raw outputs of a detector or a segmenter mean: decoding, suppression, scores, tiles, pictures. No torch.

    head = DetectionHeadLayout.over("fcos", (320, 320), (8, 16, 32), classes=3)
    boxes, scores = head.decode(maps)                       # px of the network's input
    found = detections(boxes, scores)                       # one Detections an image
    coco_map(found, true_boxes, true_labels, crowd, 3).map  # percent; move boxes to px of the original first
    MeanIou(confusion(logits.argmax(1), masks, 11)).miou    # percent
"""

from hwnas.imaging.letterbox import IGNORE
from hwnas.tasks.coco_map import RECALLS, CocoMap, coco_map
from hwnas.tasks.detection import VARIANCES, DetectionHead, DetectionHeadLayout
from hwnas.tasks.drawing import colours, draw_boxes, draw_mask
from hwnas.tasks.mean_iou import MeanIou, confusion
from hwnas.tasks.nms import Detections, detections
from hwnas.tasks.tiling import tiled_logits

__all__ = [
    "IGNORE", "RECALLS", "VARIANCES", "CocoMap", "DetectionHead", "DetectionHeadLayout", "Detections", "MeanIou",
    "coco_map", "colours", "confusion", "detections", "draw_boxes", "draw_mask", "tiled_logits",
]
