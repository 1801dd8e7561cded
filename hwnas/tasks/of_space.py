"""The former name of `hwnas.tasks.head_layout`, for one version."""

from hwnas.tasks.head_layout import layout_of, task_of

__all__ = ["layout_of", "task_of"]
