"""How far a latency table travels: one of elsewhere, adapted by networks of this machine, on others of them.

    python benchmarks/travel.py [--table latency_tables/x86-avx2/onnxruntime-fp32-b1-t1.jsonl] [--space mobile]
    python benchmarks/travel.py --load        networks that adapt are timed beside a load that comes and goes

For every prior (the table, and the estimate of the target's public figures) and number of networks: error and
interval on networks that took no part, seconds of timing; beside them the prior times one factor, and a line in FLOPs
through the same networks. All networks are timed once, interleaved, and visits to a busy machine do not count; so the
adaptations share their networks' times, and what each would have taken is told by its share of the visits. With --load
the networks that adapt are timed beside the load of moving_clock.py, and those that judge without it. Last row: what
`hwnas profile` makes of this machine, a table measured anew. Writes benchmarks/travel.md, of which every space and load
has a section; --quick times few networks for a second, to try it out, and writes nothing.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path

import numpy as np
from moving_clock import load as other_work

from hwnas.errors import TableError
from hwnas.latency import LatencyModel, Table, errors
from hwnas.latency import prior as priors
from hwnas.latency.estimate import estimate
from hwnas.profile import measure, network_model
from hwnas.profile.calibration_networks import draw
from hwnas.profile.graph_format import preparer
from hwnas.runtime import compare, runtime_for
from hwnas.runtime.host import cpu_name, cpuinfo
from hwnas.space import Architecture, Space, SpaceConfig, build
from hwnas.target import Target, load

ROOT = Path(__file__).resolve().parents[1]
COUNTS = (8, 12, 20)
HEADS = ("prior", "networks", "chosen", "mean error", "within 10 %", "90 % interval holds", "its width", "one factor",
         "a line in FLOPs")
Row = tuple[str, ...]


def main() -> None:
    """Time networks, adapt by some of them, judge on the others."""
    args = _arguments()
    target, space = load("local"), build(SpaceConfig(args.space, args.imgsz, classes=args.classes))
    table = Table.read(args.table)
    found = {f"{table.target}, {table.device.get('cpu')}, {table.device.get('runtime')} "
             f"{table.device.get('runtime_version')}": (LatencyModel.from_table(table, space), target)}
    public = load(args.public)
    found[f"estimate of {public.name}"] = (estimate(space, public, "compiled"), public)
    candidates = draw(space, 12 if args.quick else 60, 0, np.random.default_rng(0))[0]
    held = draw(space, 0, 8 if args.quick else 60, np.random.default_rng(1))[1]
    held = [arch for arch in held if arch not in set(candidates)]
    begin, sweeps = time.perf_counter(), 4 if args.quick else 60
    if args.load:
        with other_work(still=False):
            beside = _timed(candidates, target, sweeps)
        ms = np.concatenate([beside, _timed(held, target, sweeps)])
    else:
        ms = _timed([*candidates, *held], target, sweeps)
    seconds = time.perf_counter() - begin
    rows: list[Row] = [row for name, (prior, on) in found.items() for count in COUNTS if count <= len(candidates)
            for row in _rows(name, prior, on, candidates, held, ms, count)]
    rows.append(_anew(space, target, held, ms[len(candidates):], args.load, 4.0 if args.quick else 60.0))
    text = _section(rows, space, target, seconds, len(ms), args.load)
    print(text)
    if not args.quick:
        _write(ROOT / "benchmarks" / "travel.md", text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=ROOT / "latency_tables/x86-avx2/onnxruntime-fp32-b1-t1.jsonl")
    parser.add_argument("--public", default="x86-avx2", help="the target whose public figures are estimated from")
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--imgsz", type=int, default=32)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--load", action="store_true")
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args()


def _timed(networks: list[Architecture], target: Target, sweeps: int) -> np.ndarray:
    """Median latencies, ms, shape (n,)."""
    runtime, form = runtime_for(target), preparer(target)
    sessions = {str(i): runtime.load(form(network_model(arch))) for i, arch in enumerate(networks)}
    found = compare(sessions, sweeps=sweeps)
    return np.array([found[str(i)].median_ms for i in range(len(networks))])


def _rows(name: str, prior: LatencyModel, target: Target, candidates: list[Architecture], held: list[Architecture],
          ms: np.ndarray, count: int) -> list[Row]:
    truth, rows = ms[len(candidates):], list[Row]()
    random = np.random.default_rng(0).permutation(len(candidates))[:count].tolist()
    for how, picked in (("by design", priors.choose(prior, target, candidates, count)), ("at random", random)):
        networks, y = [candidates[i] for i in picked], ms[picked]
        made = priors.adapt(prior, target, networks, y.tolist())
        said = [made.model.predict(arch) for arch in held]
        e = errors(np.array([p.latency_ms for p in said]), truth)
        inside = np.mean([p.low_ms <= t <= p.high_ms for p, t in zip(said, truth, strict=True)])
        factor = float(np.median(y / prior.predict_ms(networks)))
        one = errors(factor * prior.predict_ms(held), truth)
        rows.append((name, str(count), how, f"{e.mape:.1f} %", f"{e.within_10:.0f} %", f"{100 * inside:.0f} %",
                     f"{100 * (said[0].high_ms / said[0].latency_ms - 1):.0f} %", f"{one.mape:.1f} %",
                     f"{_line(networks, y, held, truth):.1f} %{', and the prior was refused' if made.useless else ''}"))
    return rows


def _line(networks: list[Architecture], y: np.ndarray, held: list[Architecture], truth: np.ndarray) -> float:
    """Mean error of a line in FLOPs, fitted to relative errors, percent."""
    share = np.stack([1 / y, np.array([arch.flops for arch in networks]) / y], axis=1)
    a, b = np.linalg.lstsq(share, np.ones(len(y)), rcond=None)[0]
    return 100 * float(np.mean(np.abs((a + b * np.array([arch.flops for arch in held])) / truth - 1)))


def _anew(space: Space, target: Target, held: list[Architecture], truth: np.ndarray, load: bool, most: float
          ) -> Row:
    """A table of this machine."""
    with tempfile.TemporaryDirectory() as folder, other_work(still=not load):
        begin = time.perf_counter()
        try:
            model = measure(space, target, Path(folder) / "table.jsonl", max_seconds=most).model
        except TableError:  # of a machine that is too busy for these seconds
            return ("measured anew: refused, blocks and networks contradict each other", *[""] * (len(HEADS) - 1))
        seconds = time.perf_counter() - begin
    e = errors(model.predict_ms(held), truth)
    said = [model.predict(arch) for arch in held]
    inside = np.mean([p.low_ms <= t <= p.high_ms for p, t in zip(said, truth, strict=True)])
    return (f"measured anew in {seconds:.0f} s", "", "", f"{e.mape:.1f} %", f"{e.within_10:.0f} %",
            f"{100 * inside:.0f} %", f"{100 * (said[0].high_ms / said[0].latency_ms - 1):.0f} %", "", "")


def _section(rows: list[Row], space: Space, target: Target, seconds: float, timed: int, load: bool) -> str:
    version = runtime_for(target).version
    table = "\n".join(f"| {' | '.join(line)} |" for line in (HEADS, ("---",) * len(HEADS), *rows))
    beside = ", those that adapt beside a load that comes and goes" if load else ""
    return (f"## {space.name} at {space.config.imgsz} px{beside}\n\n{time.strftime('%Y-%m-%d')}, "
            f"{cpu_name(cpuinfo())}, {target.runtime} {version}; {timed} networks timed in {seconds:.0f} s, visits to "
            f"a busy machine left out. Errors are on networks that no adaptation saw.\n\n{table}\n")


def _write(page: Path, section: str) -> None:
    """Put a section in the place of the one with its heading, or at the end."""
    text = page.read_text(encoding="utf-8") if page.exists() else "# Tables that travel\n"
    heading = section.splitlines()[0]
    parts = re.split(r"(?m)^(?=## )", text)
    mine = [i for i, part in enumerate(parts) if part.splitlines()[0] == heading]
    if mine:
        parts[mine[0]] = section + "\n"
    else:
        parts += ["\n" + section]
    page.write_text("".join(parts).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
