"""regret.jsonl: every outcome of a comparison as it comes in, so that what was cut off goes on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hwnas.bench.code_hash import code_of
from hwnas.bench.outcome import Outcome
from hwnas.bench.strategy_spec import StrategySpec
from hwnas.errors import InputError, UsageError
from hwnas.files import append_bytes, read_lines

FILE, FORMAT, VERSION = "regret.jsonl", "hwnas_regret", 1


class ResultsLog:
    """Outcomes in a folder. One file may hold many benchmarks, strategies and versions of their code.

    Args:
        folder: where the file lies; None keeps nothing.

    Raises:
        InputError: a file of another kind, or a broken line that is not the last.
    """

    def __init__(self, folder: Path | None) -> None:
        self.path = None if folder is None else folder / FILE
        self._lines = read_lines(self.path) if self.path is not None and self.path.exists() else []
        for number, line in enumerate(self._lines, 1):
            if not isinstance(line, dict) or line.get(FORMAT) != VERSION:
                raise InputError(f'{self.path}, line {number}: the key "{FORMAT}" must be {VERSION}; give --out '
                                 "another folder")

    def known(self, benchmark: str, spec: StrategySpec) -> dict[tuple[int, int], Outcome]:
        """Outcomes by (seed, evaluations) of this benchmark, strategy, options and code.

        Raises:
            InputError: a line lacks something; names it.
        """
        head, found = _head(benchmark, spec), dict[tuple[int, int], Outcome]()
        for number, line in enumerate(self._lines, 1):
            if all(line.get(key) == value for key, value in head.items()):
                try:
                    outcome = Outcome.from_json(line)
                except InputError as err:
                    raise InputError(f"{self.path}, line {number} is no outcome ({err}): delete that line") from err
                found[outcome.seed, outcome.evaluations] = outcome
        return found

    def add(self, benchmark: str, spec: StrategySpec, outcomes: Iterable[Outcome]) -> None:
        """Write outcomes in one go and flush them.

        Raises:
            InputError: the folder is not writable or the disk is full.
        """
        if self.path is not None:
            head = _head(benchmark, spec)
            lines = [json.dumps(head | outcome.to_json(), allow_nan=False) + "\n" for outcome in outcomes]
            append_bytes(self.path, "".join(lines).encode())


@contextlib.contextmanager
def alone(folder: Path | None) -> Iterator[None]:
    """Only one comparison writes into a folder.

    Raises:
        UsageError: another process does.
        InputError: the folder is not writable.
    """
    if folder is None:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as err:
        raise UsageError(f"another hwnas process writes into {folder}: wait for it or end it") from err
    except OSError as err:
        raise InputError(f"cannot write into {folder}: {err.strerror or err}") from err


def _head(benchmark: str, spec: StrategySpec) -> dict[str, Any]:
    return {FORMAT: VERSION, "benchmark": benchmark, "strategy": spec.strategy, "options": dict(spec.options),
            "code": code_of(spec.kind)}
