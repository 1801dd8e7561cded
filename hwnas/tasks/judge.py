"""The former names of metrics, for one version."""

from hwnas.tasks.classify import AccuracyMetric as ClassJudge
from hwnas.tasks.detect import DetectionMetric as BoxJudge
from hwnas.tasks.metric import Metric as Judge
from hwnas.tasks.segment import MeanIouMetric as MaskJudge

__all__ = ["BoxJudge", "ClassJudge", "Judge", "MaskJudge"]
