"""The former names of `hwnas.train.workload`, for one version."""

from hwnas.data.detection import DetectionData
from hwnas.data.labelled import LabelledData
from hwnas.data.labelled import LabelledData as AnyData
from hwnas.data.segmentation import SegmentationData
from hwnas.tasks import DetectionHeadLayout
from hwnas.tasks.task import Batch
from hwnas.train.workload import QUICK_VAL, Workload, workload_of
from hwnas.train.workload import Workload as Task
from hwnas.train.workload import workload_of as as_task


def Classification(data: LabelledData) -> Workload:
    """`workload_of` a data set of classes."""
    return workload_of(data)


def Detection(data: DetectionData, layout: DetectionHeadLayout) -> Workload:
    """`workload_of` a data set with boxes."""
    return workload_of(data, layout)


def Segmentation(data: SegmentationData) -> Workload:
    """`workload_of` a data set with masks."""
    return workload_of(data)


__all__ = ["QUICK_VAL", "AnyData", "Batch", "Classification", "Detection", "Segmentation", "Task", "as_task"]
