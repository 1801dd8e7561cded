"""How a room lowers primitives, and where it finds what others' packages registered.

A room has one function a purpose, made by `functools.singledispatch` over the primitive, and registers ours beside it.
A package with a primitive of its own registers it in a module, and names that module in the entry-point group
`hwnas.lowerings.ROOM`; it is imported when the room meets a primitive it does not know, and not before.

| room     | function                                  | gives                                          |
|----------|-------------------------------------------|------------------------------------------------|
| nets     | `hwnas.nets.modules.module_of`            | a torch module                                 |
| nets     | `hwnas.nets.elastic.run_slice`            | what the slice of a shared module gives        |
| profile  | `hwnas.profile.lowering.append`           | ONNX nodes                                     |
| latency  | `hwnas.latency.estimate.work.works_of`    | kernels of a runtime: arithmetic and bytes     |
| export   | `hwnas.export.source.source_of`           | the source of model.py                         |
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from hwnas.errors import UsageError
from hwnas.space.primitives import Primitive

GROUP = "hwnas.lowerings"


def registered(room: str, dispatch: Any, step: Primitive) -> Callable[..., Any]:
    """What others' packages registered for a primitive that a room does not know.

    Args:
        room: e.g. 'nets'.
        dispatch: the single-dispatch function that was called.
        step: what it was called with.

    Raises:
        UsageError: nothing was registered, or a module does not import.
    """
    group = f"{GROUP}.{room}"
    for point in entry_points(group=group):
        try:
            point.load()
        except (ImportError, AttributeError) as err:
            raise UsageError(f"the lowerings {point.name!r} ({point.value}) do not import: {err}") from err
    found: Callable[..., Any] = dispatch.dispatch(type(step))
    if found is dispatch.dispatch(object):
        raise UsageError(f"the room {room} knows no {type(step).__name__}: register it with "
                         f'{dispatch.__module__}.{dispatch.__name__} in a module of the entry points "{group}"')
    return found
