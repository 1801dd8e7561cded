"""The house before and after its walls were moved: lines and files by room, circles of files, starts, the default job.

    python benchmarks/house.py --before 410ed94                              # lines, files, circles, starts
    python benchmarks/house.py --before 410ed94 --run RUN --job 2            # and `generate RUN`, the default job

The code before is checked out into a temporary folder and run by the same interpreter, turn and turn about with that of
today. RUN is a finished run folder that both can read.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STARTS = 15


@contextlib.contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A folder with the code of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "before")
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", place, commit], check=True)
        try:
            yield place
        finally:
            subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", place], check=True)


def lines(root: Path) -> dict[str, list[int]]:
    """Room -> lines of each of its files; modules beside the rooms stand under 'hwnas'."""
    package = root / "hwnas"
    found: dict[str, list[int]] = {}
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package).parts
        found.setdefault(inside[0] if len(inside) > 1 else "hwnas", []).append(len(path.read_text().splitlines()))
    return found


def circles(root: Path) -> int:
    """Groups of files that import each other in a circle, imports for the type checker among them."""
    code = ("import grimp, networkx as nx; g = grimp.build_graph('hwnas', cache_dir=None);"
            "d = nx.DiGraph([(m, n) for m in g.modules for n in g.find_modules_directly_imported_by(m)]);"
            "print(sum(len(c) > 1 for c in nx.strongly_connected_components(d)))")
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=root,
                              env={**os.environ, "PYTHONPATH": str(root)}).stdout)


def took(root: Path, arguments: Sequence[str]) -> float:
    """Seconds of one `hwnas` with these arguments, of the code in a folder."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "hwnas", *arguments], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    return time.perf_counter() - start


def compared(before: Path, arguments: Sequence[str]) -> str:
    """A row: median seconds before and today, taken in turns, and their ratio."""
    pairs = [(took(before, arguments), took(ROOT, arguments)) for _ in range(STARTS)][1:]
    old, new = (statistics.median(side) for side in zip(*pairs, strict=True))
    return f"| `hwnas {' '.join(arguments[:1])}` | {old:.3f} | {new:.3f} | {new / old:.2f} |"


def job(before: Path, folder: Path, turns: int) -> str:
    """A row: the default job before and today at the same time, one core and one training thread each."""
    def start(root: Path, name: str, core: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "hwnas", "compress", "--torch-threads", "1", "--out", str(folder / name),
                   "--tables", str(folder / f"{name}-tables")]
        return subprocess.Popen(["taskset", "-c", str(core), *command], cwd=root, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(root)})
    ratios = []
    for turn in range(turns):  # cores change sides: they are not equally fast
        began = time.perf_counter()
        running = {"old": start(before, f"old{turn}", turn % 2), "new": start(ROOT, f"new{turn}", 1 - turn % 2)}
        seconds = {}
        while running:
            for name, process in list(running.items()):
                if process.poll() is not None:
                    if process.returncode:
                        raise SystemExit(f"the default job of the {name} code ended with {process.returncode}")
                    seconds[name] = time.perf_counter() - began
                    del running[name]
            time.sleep(0.2)
        ratios.append(seconds)
    old, new = (sum(r[name] for r in ratios) / len(ratios) for name in ("old", "new"))
    return f"| default job | {old:.0f} | {new:.0f} | {new / old:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, help="a commit")
    parser.add_argument("--run", type=Path, help="a finished run folder")
    parser.add_argument("--job", type=int, default=0, metavar="TURNS", help="run the default job of both so often")
    args = parser.parse_args()
    with checked_out(args.before) as before:
        old, new = lines(before), lines(ROOT)
        print("| room | lines before | lines | files before | files | median file |\n|---|---|---|---|---|---|")
        for room in sorted(old | new):
            was, now = old.get(room, []), new.get(room, [])
            print(f"| {room} | {sum(was)} | {sum(now)} | {len(was)} | {len(now)} "
                  f"| {statistics.median(now) if now else 0:.0f} |")
        was, now = [[n for room in side.values() for n in room] for side in (old, new)]
        print(f"| **all** | {sum(was)} | {sum(now)} | {len(was)} | {len(now)} | {statistics.median(now):.0f} |")
        print(f"\nCircles of files: {circles(before)} before, {circles(ROOT)} now.\n")
        print("| command | s before | s now | ratio |\n|---|---|---|---|")
        print(compared(before, ["--help"]), flush=True)
        if args.run:
            print(compared(before, ["generate", str(args.run.resolve()), "--latency", "40%"]), flush=True)
        if args.job:
            with tempfile.TemporaryDirectory() as folder:
                print(job(before, Path(folder), args.job), flush=True)


if __name__ == "__main__":
    main()
