"""The former name of `hwnas.tasks.head_layout`, for one version."""

from hwnas.space import Space
from hwnas.tasks.head_layout import layout_of
from hwnas.tasks.registry import task_of as find_task_of


def task_of(space: Space) -> str:
    """The name of the task."""
    return find_task_of(space).name


__all__ = ["layout_of", "task_of"]
