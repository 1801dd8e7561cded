"""Plug-ins by name: our own from a static table, other people's from a group of entry points or as `module:name`."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from hwnas.documents import brief
from hwnas.errors import UnknownName, UsageError


@dataclass(frozen=True)
class Plugins:
    """What one kind of plug-in is called and where it is.

    Args:
        kind: for messages, e.g. `strategy`.
        group: entry points of other packages.
        table: our own names -> `module:attribute`; they cannot be taken over by an entry point.
    """

    kind: str
    group: str
    table: Mapping[str, str]

    def names(self) -> list[str]:
        """All known names, sorted; nothing is imported."""
        return sorted({*self.table, *(point.name for point in entry_points(group=self.group))})

    def check_name(self, name: str) -> None:
        """Nothing is imported.

        Raises:
            UnknownName: no such plug-in; suggests the nearest.
        """
        if name not in self.table:
            self._entry_point(name)

    def find(self, name: str) -> Any:
        """Import what is behind a name.

        Raises:
            UnknownName: no such plug-in; suggests the nearest.
            UsageError: the entry point does not import.
        """
        if name in self.table:
            module, attribute = self.table[name].split(":")
            return getattr(import_module(module), attribute)
        point = self._entry_point(name)
        try:
            return point.load()
        except (ImportError, AttributeError) as err:
            raise UsageError(f"{self.kind} {name!r} ({point.value}) does not import: {err}") from err

    def own(self, name: str, arguments: int, rule: str) -> Callable[..., Any]:
        """What a user named: of a package, or `package.module:name`; it can be called.

        Args:
            arguments: that a function of it is called with; a class is made without any.
            rule: what it must be, for messages.

        Raises:
            UnknownName, UsageError: as `find` and `of_module`, or a function that takes other arguments.
        """
        found = of_module(name, self.kind, rule) if ":" in name else self.find(name)
        if not callable(found):
            raise UsageError(f"{self.kind} {name!r} is {brief(found)}: {rule}")
        function: Callable[..., Any] = found
        if not inspect.isclass(function):
            try:
                signature = inspect.signature(function)
                signature.bind(*[None] * arguments)
            except TypeError as err:
                raise UsageError(f"{self.kind} {name!r} takes {inspect.signature(function)}: {rule}") from err
            except ValueError:  # of compiled code that tells no signature
                return function
        return function

    def check(self, name: str, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        """Whether `function(first, **options)` is a call that its signature takes.

        Raises:
            UnknownName: no such option (with the nearest one).
            UsageError: an option is missing.
        """
        _, *parameters = inspect.signature(function).parameters.values()
        known = {parameter.name: parameter for parameter in parameters}
        open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        for option in options:
            if option not in known and not open_ended:
                raise UnknownName(f"option of {self.kind} {name!r}:", option, known)
        missing = [key for key, p in known.items() if p.default is p.empty and not _variadic(p) and key not in options]
        if missing:
            raise UsageError(f"{self.kind} {name!r} needs the option {missing[0]!r}")

    def _entry_point(self, name: str) -> EntryPoint:
        for point in entry_points(group=self.group):
            if point.name == name:
                return point
        raise UnknownName(self.kind, name, self.names(),
                          f'More come from packages with the entry point "{self.group}".')


def of_module(text: str, kind: str, rule: str) -> Callable[..., Any]:
    """What `package.module:name` names; the folder where hwnas is called is looked in as well.

    Args:
        kind: for messages, e.g. `space`.
        rule: what it must be, for messages, e.g. `name one that takes ... and gives ...`.

    Raises:
        UsageError: no such module or name, a module that does not import, or nothing that can be called.
    """
    place, _, attribute = text.partition(":")
    if not all(part.isidentifier() for part in (*place.split("."), *attribute.split("."))):
        raise UsageError(f"a {kind} of your own is named 'package.module:name'; got {brief(text)}")
    here = str(Path.cwd())
    added = here not in sys.path and "" not in sys.path
    if added:  # the `hwnas` command, unlike `python -m`, does not look where it is called
        sys.path.insert(0, here)
    try:
        module = import_module(place)
    except Exception as err:  # a stranger's code
        raise UsageError(f"the module of {kind} {text} does not import: {type(err).__name__}: {err}; install it, or "
                         "call hwnas from the folder where it lies") from err
    finally:
        if added:
            sys.path.remove(here)
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise UsageError(f"module {place} has no function {attribute} ({brief(found)}): {rule}")
    function: Callable[..., Any] = found
    return function


def source_hash(function: Callable[..., Any]) -> str | None:
    """SHA-256 of the file that a function or a class was read from; None where that is not known."""
    try:
        file = inspect.getsourcefile(function)
        return None if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except (TypeError, OSError):
        return None


def _variadic(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
