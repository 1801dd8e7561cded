"""Kill `hwnas profile` a hundred times with SIGKILL at random moments, and hold its table to its promises.

After every kill the table is read. What must hold:

1. the file is always readable;
2. an entry that one reading showed is shown by every later one;
3. an entry that is complete (it has the timed runs of the fewest sweeps that a campaign takes) is not measured again:
   its lines only ever gain runs, since a campaign that began anew would write a line of fewer runs first;
4. a run without a kill completes the table, and one more after it measures nothing.

    python benchmarks/kill_profile.py --kills 100 --out benchmarks/kill_profile.md
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas.errors import HwnasError
from hwnas.latency import Table
from hwnas.profile.measure import MIN_RUNS

SPACE = ["--space", "mobile", "--imgsz", "48", "--classes", "10"]
KILLS_PER_TABLE = 8
BAD = ("unreadable", "entries lost", "complete entries measured again", "complete tables measured again")


@dataclass
class Tables:
    """One table after the other, each killed again and again until a run completes it."""

    scratch: Path
    seconds: float
    length_s: float = 10.0  # of a run that nobody kills; follows what is seen
    kills_of_table: int = 0
    facts: Counter[str] = field(default_factory=Counter)
    shown: set[str] = field(default_factory=set)
    moments: list[float] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.scratch / f"table{self.facts['tables completed']}"

    def run(self) -> dict[str, Any]:
        """A whole run; its report."""
        done = subprocess.run(self._command(), capture_output=True, text=True, check=True)
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def kill(self, after_s: float) -> None:
        """A run that is killed, or completes the table if it is quicker."""
        begin = time.monotonic()
        process = subprocess.Popen(self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
        try:
            ended = process.wait(after_s) == 0
            self.length_s = 0.5 * (self.length_s + time.monotonic() - begin)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            ended = False
            self.facts["kills"] += 1
            self.moments.append(after_s)
        self.read()
        self.kills_of_table += not ended
        if ended or self.kills_of_table == KILLS_PER_TABLE:
            self.complete()

    def read(self) -> None:
        """Compare the table with what it showed before."""
        path = next(self.folder.rglob("*.jsonl"), None)
        if path is None:
            self.facts["kills before there was a table"] += 1
            return
        self.facts["readings with a torn last line"] += not path.read_bytes().endswith(b"\n")
        try:
            found = Table.read(path).entries
        except HwnasError as err:
            print(err, file=sys.stderr)
            self.facts["unreadable"] += 1
            return
        self.facts["readings"] += 1
        self.facts["readings of a table that was not complete"] += any(e.runs < MIN_RUNS for e in found.values())
        self.facts["entries lost"] += len(self.shown - set(found))
        self.shown |= set(found)

    def complete(self) -> None:
        """Finish the table, see that nothing is measured then, and begin another one."""
        self.run()
        self.read()
        self.facts["complete tables measured again"] += bool(self.run()["measured"])
        self.facts["complete entries measured again"] += measured_again(next(self.folder.rglob("*.jsonl")))
        self.facts["tables completed"] += 1
        self.shown, self.kills_of_table = set(), 0

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "hwnas", "profile", *SPACE, "--tables", str(self.folder), "--max-seconds",
                str(self.seconds), "--json"]


def measured_again(path: Path) -> int:
    """How many lines of a table hold no more runs than an earlier, complete line of their signature."""
    count, most = 0, Counter[str]()
    for line in path.read_text().splitlines()[1:]:
        entry = json.loads(line)
        if "calibration" not in entry:
            signature, runs = entry["signature"], entry["runs"]
            count += MIN_RUNS <= most[signature] >= runs
            most[signature] = max(most[signature], runs)
    return count


def campaign(scratch: Path, kills: int, seconds: float, seed: int) -> dict[str, Any]:
    """Kill `kills` runs; counts, of which those in `BAD` must be 0."""
    rng, tables = random.Random(seed), Tables(scratch, seconds)
    while tables.facts["kills"] < kills:
        tables.kill(rng.uniform(0.1, 1.1) * tables.length_s)
        print(f"\r{tables.facts['kills']} kills, {tables.facts['tables completed']} tables, "
              f"a run takes {tables.length_s:.1f} s ", end="", file=sys.stderr)
    tables.complete()
    found = {name: tables.facts[name] for name in BAD} | dict(tables.facts)
    span = f"{min(tables.moments):.1f} to {max(tables.moments):.1f}"
    return {**found, "moments of the kills, s": span}


def main() -> None:
    """Write the result; exit code 1 if a promise was broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=6.0, help="of timing in a whole run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        facts = campaign(Path(scratch), given.kills, given.seconds, given.seed)
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    text = f"""# `hwnas profile`, killed {facts["kills"]} times

    python benchmarks/kill_profile.py --kills {given.kills} --seconds {given.seconds:g} --seed {given.seed}

Every run was killed with SIGKILL at a random moment between 0.1 and 1.1 times the length of a run, and the table was
read; the next run went on with it. After {KILLS_PER_TABLE} kills, or when a run ended before its kill, a run without
a kill made the table complete, one more had to measure nothing, and the next table was begun. The first {len(BAD)}
rows are promises.

| what | count |
| --- | --- |
{rows}
"""
    print(text)
    if given.out:
        given.out.write_text(text)
    sys.exit(any(facts[name] for name in BAD))


if __name__ == "__main__":
    main()
