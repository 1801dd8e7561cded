"""compress as ordered, resumable stages over a run folder, and the report. Torch is imported when a stage needs it."""

from hwnas.pipeline.budget import Budget, parse, parse_all, show
from hwnas.pipeline.job import compress, compress_run, make_config, resume, retarget
from hwnas.pipeline.picking import Answer, Picker, pick
from hwnas.pipeline.run import STAGES, CompressConfig, RunFolder

__all__ = [
    "STAGES", "Answer", "Budget", "CompressConfig", "Picker", "RunFolder", "compress", "compress_run", "make_config",
    "parse", "parse_all", "pick", "resume", "retarget", "show",
]
