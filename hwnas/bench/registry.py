"""Benchmarks by name: our own from a static table, other people's from the entry-point group `hwnas.benchmarks`.

Behind a name is a function `load(data: Path | None, **options) -> Benchmark`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwnas.bench.benchmark import Benchmark
from hwnas.errors import UsageError
from hwnas.plugins import Plugins

GROUP = "hwnas.benchmarks"

TABLE: dict[str, str] = {
    "nasbench-macro": "hwnas.bench.nasbench_macro:load",
    "nasbench201": "hwnas.bench.nasbench201:load",
}
_PLUGINS = Plugins("benchmark", GROUP, TABLE)


def names() -> list[str]:
    """All known benchmarks, sorted; nothing is imported."""
    return _PLUGINS.names()


def load(name: str, data: Path | None = None, **options: Any) -> Benchmark:
    """Read a benchmark.

    Args:
        name: of the benchmark.
        data: the file or folder it is read from; None for those that need none.
        options: its own, e.g. `dataset`.

    Raises:
        UnknownName: no such benchmark, or no such option (with the nearest one).
        UsageError: an entry point that does not import or gives no Benchmark.
        InputError: the data are missing or wrong.
    """
    function = _PLUGINS.find(name)
    if not callable(function):
        raise UsageError(f"benchmark {name!r} ({function!r}) must be a function of the data's path and its options")
    _PLUGINS.check(name, function, options)
    found = function(data, **options)
    if not isinstance(found, Benchmark):
        raise UsageError(f"benchmark {name!r} gave {found!r}; it must give a hwnas.bench.Benchmark")
    return found
