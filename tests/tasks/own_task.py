"""The example of a task of one's own, made known as pip would: a folder with its module and its entry point."""

from __future__ import annotations

import shutil
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_task"


def installed(folder: Path, points: str = "ink = ink_task:Ink") -> Path:
    """The folder, which holds the package now; it has to be put on sys.path."""
    shutil.copy(EXAMPLE / "ink_task.py", folder)
    info = folder / "ink_task-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ink-task\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[hwnas.tasks]\n{points}\n")
    return folder
