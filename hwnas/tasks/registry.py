"""Tasks by name: our own from a static table, other people's from the entry-point group `hwnas.tasks`."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING

from hwnas.errors import UsageError
from hwnas.plugins import Plugins

if TYPE_CHECKING:
    from hwnas.data.labelled import LabelledData
    from hwnas.space import Space
    from hwnas.tasks.task import Task

GROUP = "hwnas.tasks"

TABLE: dict[str, str] = {
    "classify": "hwnas.tasks.classify:Classify",
    "detect": "hwnas.tasks.detect:Detect",
    "multilabel": "hwnas.tasks.multilabel:MultiLabel",
    "segment": "hwnas.tasks.segment:Segment",
}
DEFAULT = "classify"
"""Where nothing is said: on the command line, and in models and samples of hwnas 0.1.0, which knew no other."""
_PLUGINS = Plugins("task", GROUP, TABLE)


def names() -> list[str]:
    """All known tasks, sorted; nothing is imported."""
    return _PLUGINS.names()


@functools.cache
def find(name: str) -> Task:
    """The task of a name; our own names cannot be taken over by an entry point.

    Raises:
        UnknownName: no such task.
        UsageError: the entry point does not import, or is no Task of this name.
    """
    from hwnas.tasks.task import Task  # on first use: names alone are asked for by the command line

    kind = _PLUGINS.find(name)
    if not (inspect.isclass(kind) and issubclass(kind, Task)):
        raise UsageError(f"task {name!r} ({kind!r}) must be a subclass of hwnas.tasks.Task")
    if inspect.isabstract(kind):
        raise UsageError(f"task {name!r} lacks {', '.join(sorted(kind.__abstractmethods__))}: a task must have them")
    task: Task = kind()
    if getattr(task, "name", None) != name:
        raise UsageError(f"task {name!r} calls itself {getattr(task, 'name', None)!r}: give its class the name of its "
                         "entry point")
    return task


def task_for(data: LabelledData) -> Task:
    """The task that a data set is made for.

    Raises:
        UsageError: no known task reads such data.
    """
    for name in (*TABLE, *(name for name in names() if name not in TABLE)):
        if isinstance(data, find(name).data_type):
            return find(name)
    raise UsageError(f"no task learns from {type(data).__name__}: name the task, one of {', '.join(names())}")


def task_of_head(head: str) -> Task:
    """The task whose networks end in a head; that of plain logits for ''.

    Raises:
        UsageError: no known task has it.
    """
    if not head:
        return find(DEFAULT)
    for name in (*TABLE, *(name for name in names() if name not in TABLE)):
        if head in find(name).heads:
            return find(name)
    raise UsageError(f"no task has networks that end in {head!r}: name the task, one of {', '.join(names())}")


def task_of(space: Space) -> Task:
    """The task that the networks of a space are for, by their head."""
    return task_of_head(space.config.head)
