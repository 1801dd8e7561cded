"""One finished search, networks for several targets: what each gets, and how long that takes after the search.

    python benchmarks/several_targets.py RUN --out DIR [--latency 50%] [--targets a,b,...] [--give-up 1]
        [--write FILE.md] [-- FLAGS OF COMPRESS]

RUN is the folder of a finished search for this machine (`--target local`); it is not changed, its table is used. Other
targets that are this machine have their tables measured first, the rest is estimated from public figures. Then every
target is asked for its best architecture, and all of them for one (`hwnas generate --one-model`), each question in a
process of its own. With flags behind `--` the networks are made as well: `hwnas compress --from RUN --target a,b,...
FLAGS`. Every command is kept with its seconds in DIR, and is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hwnas.latency import table_path
from hwnas.target import load

HERE = {"local-openvino": "name: local-openvino\ndescription: This machine through OpenVINO\nruntime: openvino\n"}
TARGETS = "local,local-openvino,raspberry-pi-4,raspberry-pi-5,jetson-orin-nano,x86-avx512"
SHOWN = ("latency", "flops", "params")


def main() -> None:
    """Run what is missing, and write or print the page."""
    args = _arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, text in HERE.items():
        (args.out / f"{name}.yaml").write_text(text, encoding="utf-8")
    targets = [str(args.out / f"{name}.yaml") if name in HERE else name for name in args.targets.split(",")]
    found = _all(targets, args)
    page = _page(found, targets, args)
    print(page)
    if args.write:
        args.write.write_text(page, encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--targets", default=TARGETS)
    parser.add_argument("--latency", default="50%")
    parser.add_argument("--give-up", default="1")
    parser.add_argument("--write", type=Path)
    parser.add_argument("flags", nargs="*", help="of hwnas compress, behind --; without them no network is made")
    return parser.parse_args()


def _all(targets: list[str], args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Command by name -> its seconds and what it said."""
    space = json.loads((args.run / "run.json").read_text(encoding="utf-8"))["stages"]["data"]["result"]["space"]
    size = ["--space", space["name"], "--imgsz", str(space["imgsz"]), "--channels", str(space["in_channels"]),
            "--classes", str(space["classes"])]
    tables, here = ["--tables", str(args.out / "tables")], [t for t in targets if t.endswith(".yaml")]
    if not (kept := table_path(args.out / "tables", load("local"))).is_file():
        kept.parent.mkdir(parents=True)
        shutil.copyfile(args.run / "table.jsonl", kept)
    found = {f"profile {Path(t).stem}": _timed(args.out, f"profile-{Path(t).stem}",
                                               ["profile", "--target", t, *size, *tables]) for t in here}
    ask = ["generate", str(args.run), "--target", ",".join(targets), "--latency", args.latency, *tables]
    found["each"] = _timed(args.out, "each", ask)
    found["one"] = _timed(args.out, "one", [*ask, "--one-model"])
    found["one with room"] = _timed(args.out, "one-with-room", [*ask, "--one-model", "--give-up", args.give_up])
    if args.flags:
        found["networks"] = _timed(args.out, "networks", [
            "compress", "--from", str(args.run), "--target", ",".join(targets), "--latency", args.latency, *tables,
            "--out", str(args.out / "several"), *args.flags])
    return found


def _timed(folder: Path, name: str, words: list[str]) -> dict[str, Any]:
    """Seconds of a command and what it said as JSON; kept, and not run twice."""
    kept = folder / f"{name}.json"
    if not kept.is_file():
        began, before = time.monotonic(), os.times()
        done = subprocess.run([sys.executable, "-m", "hwnas", *words, "--json"], stdout=subprocess.PIPE, text=True,
                              check=False)
        after = os.times()
        if done.returncode not in (0, 3):  # 3: some targets cannot meet the budget
            raise SystemExit(f"{' '.join(words)}: exit code {done.returncode}")
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        kept.write_text(json.dumps({"wall_s": time.monotonic() - began, "cpu_s": cpu, "said": json.loads(done.stdout)}),
                        encoding="utf-8")
    return json.loads(kept.read_text(encoding="utf-8"))


def _page(found: dict[str, dict[str, Any]], targets: list[str], args: argparse.Namespace) -> str:
    state = json.loads((args.run / "run.json").read_text(encoding="utf-8"))
    seconds = {name: stage["seconds"] for name, stage in state["stages"].items()}
    data = state["stages"]["data"]["result"]
    told = "" if not args.flags else f" -- {' '.join(args.flags)}"
    lines = [
        "# Several targets from one search", "",
        f"    python benchmarks/several_targets.py RUN --out DIR --latency {args.latency}{told}", "",
        f"RUN: {data['summary']}; {data['choices']} choices, {int(data['size']):,} architectures. Its reference took "
        f"{seconds['reference']:.0f} s and its search {seconds['search']:.0f} s on this machine of {os.cpu_count()} "
        "cores.",
        "", "## Seconds after the search", "", *_rows(["command", "wall s", "CPU s"], [
            [name, f"{row['wall_s']:.1f}", f"{row['cpu_s']:.1f}"] for name, row in found.items()]),
        "", f"## A network for each, within {args.latency} of the reference's latency there", "",
        *_rows(["target", "latencies", "budget", "latency, ms", "MFLOPs", "parameters, k", "predicted score, %"],
               [_asked(row) for row in found["each"]["said"]["targets"]]),
        "", "## One network for all of them", "",
        *_rows(["given up", "predicted score, %", *(f"room on {Path(t).stem}" for t in targets)],
               [_together("0", found["one"]), _together(args.give_up, found["one with room"])]), "",
    ]
    if "networks" in found:
        lines += ["## The networks", "", *_rows(["target", "result", "latency, ms", "of the reference", "score, %",
                                                 "seconds"], [_made(row) for row in
                                                              found["networks"]["said"]["networks"]]), ""]
    return "\n".join(lines)


def _asked(row: dict[str, Any]) -> list[str]:
    if row["error"] is not None:
        return [row["asked"], row["error"], *[""] * 5]
    pick = row["picks"][0]
    latency, flops, params = (pick["costs"][name] for name in SHOWN)
    return [row["target"], row["latency_source"], row["limits"]["latency"], f"{latency / 1e6:.3f}",
            f"{flops / 1e6:.2f}", f"{params / 1e3:.0f}", f"{pick['predicted_accuracy']:.2f}"]


def _together(given_up: str, found: dict[str, Any]) -> list[str]:
    said = found["said"]
    return [given_up, f"{said['picks'][0]['predicted_accuracy']:.2f}",
            *(f"{100 * row['room']:.1f} %" for row in said["targets"])]


def _made(row: dict[str, Any]) -> list[str]:
    if not row["made"]:
        return [row["budget"], row["result"], *[""] * 4]
    return [row["budget"], row["result"], f"{row['latency_ms']:.3f} {row['kind']}", f"{100 * row['share']:.1f} %",
            f"{row['score']:.2f}", f"{row['seconds']:.0f}"]


def _rows(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]


if __name__ == "__main__":
    main()
