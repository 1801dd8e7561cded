"""compress as ordered, resumable stages over a run folder, and the report. Torch is imported when a stage needs it."""

from hwnas.pipeline.config.budget import Budget, parse, parse_all, show
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.config.make_config import make_config
from hwnas.pipeline.display.run_facts import run_facts
from hwnas.pipeline.job import compress, compress_run, resume, retarget
from hwnas.pipeline.run.folder import STAGES, RunFolder
from hwnas.pipeline.selection.answers import Answer
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.queries import pick

RunFolder.describe = staticmethod(run_facts)  # above both: a run folder itself knows no results

Picker = ArchitectureSolver  # its name in 0.1, for one version

__all__ = [
    "STAGES", "Answer", "ArchitectureSolver", "Budget", "CompressConfig", "Picker", "RunFolder", "compress",
    "compress_run", "make_config", "parse", "parse_all", "pick", "resume", "retarget", "show",
]
