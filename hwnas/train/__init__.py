"""How a network learns: loop, distillation, evaluation. Needs torch."""

from hwnas.train.accelerator import Accelerator
from hwnas.train.distill import Teacher
from hwnas.train.evaluate import accuracy, logits, reestimate_batch_norm
from hwnas.train.loop import EpochLog, History, TrainConfig, fit
from hwnas.train.objective import Objective, objective_of
from hwnas.train.task import Classification, Detection, Segmentation, Task, as_task
from hwnas.train.workload import Workload, workload_of

__all__ = [
    "Accelerator", "Classification", "Detection", "EpochLog", "History", "Objective", "Segmentation", "Task", "Teacher",
    "TrainConfig", "Workload", "accuracy", "as_task", "fit", "logits", "objective_of", "reestimate_batch_norm",
    "workload_of",
]
