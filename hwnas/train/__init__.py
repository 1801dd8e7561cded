"""How a network learns: loop, distillation, evaluation. Needs torch."""

from hwnas.train.distill import Teacher
from hwnas.train.evaluate import accuracy, logits, reestimate_batch_norm
from hwnas.train.loop import EpochLog, History, TrainConfig, fit

__all__ = [
    "EpochLog", "History", "Teacher", "TrainConfig", "accuracy", "fit", "logits", "reestimate_batch_norm",
]
