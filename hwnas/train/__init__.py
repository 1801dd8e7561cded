"""How a network learns: loop, distillation, evaluation. Needs torch."""

from hwnas.train.distill import Teacher
from hwnas.train.evaluate import accuracy, logits, reestimate_batch_norm
from hwnas.train.loop import EpochLog, History, TrainConfig, fit
from hwnas.train.task import Classification, Detection, Segmentation, Task, as_task

__all__ = [
    "Classification", "Detection", "EpochLog", "History", "Segmentation", "Task", "Teacher", "TrainConfig", "accuracy",
    "as_task", "fit", "logits", "reestimate_batch_norm",
]
