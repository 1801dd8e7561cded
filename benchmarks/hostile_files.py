"""Hostile files against the real command line: how each kind of input ends, one process an input, ten seconds at most.

    python benchmarks/hostile_files.py                    # every kind, about 25 inputs each
    python benchmarks/hostile_files.py table bundle --inputs 200 --seed 1 --show

A row says how many inputs of a kind were tried, how many ended in exit code 2 (or 3 or 4: infeasible, failed check) and
one clear message, how many were accepted and why that is right, and how many ended in a traceback, a defect or a hang.
Exit code 1 if there is one of the last three, or an acceptance that nothing explains.

A kind is a function that yields cases, in `KINDS` under its name: another script adds its own there and calls `main`.
The inputs are valid files with something wrong in one place (`tests/mutations.py`); valid ones are those of hwnas 0.1
(`tests/old_files.py`).
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import math
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hwnas.deploy.vendoring import sources  # noqa: E402
from hwnas.files import sha256  # noqa: E402
from tests.mutations import ODD, places  # noqa: E402
from tests.old_files import copy_of, unpacked  # noqa: E402

SECONDS = 10.0
HWNAS = (sys.executable, "-m", "hwnas")
CAN_BE = "a value that can be"


@dataclass(frozen=True)
class Case:
    """One input.

    Args:
        label: what is wrong with it.
        command: the words of the process that reads it.
        why: why it is right to accept it; empty where it is not.
        codes: exit codes of a refusal.
        seconds: after which it hangs.
    """

    label: str
    command: tuple[str, ...]
    why: str = ""
    codes: tuple[int, ...] = (2,)
    seconds: float = SECONDS


Kind = Callable[[Path, random.Random, int], Iterator[Case]]
"""Called as kind(folder, rng, inputs): a fresh folder to write into, and about how many inputs are wanted."""


# Keys that are shown or passed on, and never computed with.
UNREAD = {
    "provenance", "versions", "created", "tool_version", "next", "description", "summary", "hwnas",
    "role", "input", "colour", "filter", "layout", "normalisation", "fit", "pad", "scale",
    "ops",  # of a model: a record of what was built; where an architecture is rebuilt they are compared
    "outputs_of", "sources", "docker", "measured", "device", "name", "dtype", "split", "model_sha256",
}


DESCRIBED = ("stages", "data", "result", "data")  # of run.json: what the data set is, for people


def spoilt(value: Any, rng: random.Random) -> tuple[Any, str, str]:
    """`value` with one thing wrong; what that is, and why it may be accepted ('' if it may not)."""
    value = copy.deepcopy(value)
    path = rng.choice([path for path in places(value) if path])
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    key, how = path[-1], rng.choice(["replace", "replace", "replace", "remove", "add"])
    place = ".".join(str(part) for part in path)
    if how == "remove":
        del parent[key]
        return value, f"{place} is gone", "a key that may be missing, or one item less of a list"
    if how == "add" and isinstance(parent, dict):
        parent["surplus"] = copy.deepcopy(rng.choice(ODD))
        return value, f"{place}: a key too many", "a key that no reader knows is left out"
    old, new = parent[key], copy.deepcopy(rng.choice(ODD))
    parent[key] = new
    why = CAN_BE if _alike(old, new) else "a key that is shown or passed on, never computed with"
    known = why == CAN_BE or UNREAD & set(path) or path[:4] == DESCRIBED
    return value, f"{place} = {str(new)[:30]!r}", why if known else ""


def _alike(old: Any, new: Any) -> bool:
    """Whether a value is of the kind that stood there: then a reader may take it for what it says."""
    if new is None or old is None:
        return True  # many keys may be null, or say something
    if isinstance(old, bool) or isinstance(new, bool):
        return isinstance(old, bool) and isinstance(new, bool)
    if isinstance(old, int | float) and isinstance(new, int | float):
        return math.isfinite(new) and abs(new) <= 1e15 and (new == 0 or abs(new) >= 1e-9)
    return isinstance(new, type(old))


RAW = {
    "empty": b"", "200,000 brackets": b"[" * 200_000, "a number of 5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "UTF-16": "{}".encode("utf-16"), "random bytes": bytes(range(256)) * 8, "NaN": b'{"a": NaN}', "null": b"null",
}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode(errors="replace")


def tables(folder: Path, rng: random.Random, inputs: int) -> Iterator[Case]:
    """Latency tables through `tables show`, `merge` and `export`."""
    shipped = (ROOT / "latency_tables" / "x86-avx2" / "onnxruntime-fp32-b1-t1.jsonl").read_bytes().splitlines()
    whole = folder / "whole.jsonl"
    whole.write_bytes(b"\n".join(shipped) + b"\n")
    for i in range(inputs):
        path, number = folder / f"{i}.jsonl", rng.choice([0, 1, len(shipped) - 1, rng.randrange(len(shipped))])
        line, label, why = spoilt(json.loads(shipped[number]), rng)
        content = [*shipped[:number], _json(line), *shipped[number + 1:]]
        path.write_bytes(b"\n".join(content) + b"\n")
        merged, rows = str(folder / f"m{i}.jsonl"), str(folder / f"{i}.csv")
        command = rng.choice([("show", str(path)), ("merge", str(path), str(whole), "--out", merged),
                              ("export", str(path), "--out", rows)])
        yield Case(f"line {number + 1}: {label}", (*HWNAS, "tables", *command), why)
    for label, content in RAW.items():
        (folder / f"{label}.jsonl").write_bytes(content + b"\n")
        yield Case(label, (*HWNAS, "tables", "show", str(folder / f"{label}.jsonl")))


PUBLISHED = {"unit": "ms", "device": "p", "table": {
    "expanded_conv-input:56x56x24-output:28x28x40-expand:6-kernel:5-stride:2-idskip:0": {"mean": 1.5, "var": 0.1},
    "Conv-input:224x224x3-output:112x112x32": {"mean": 4.4, "count": 50}}}
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


def imports(folder: Path, rng: random.Random, inputs: int) -> Iterator[Case]:
    """Published tables through `tables import`."""
    def case(label: str, name: str, content: bytes, why: str = "") -> Case:
        (folder / name).write_bytes(content)
        out = str(folder / f"{name}.out")
        words = ("tables", "import", str(folder / name), "--target", "raspberry-pi-4", "--out", out)
        return Case(label, (*HWNAS, *words), why)

    for i in range(inputs):
        value, label, why = spoilt(PUBLISHED, rng)
        times = value["table"].values() if isinstance(value.get("table"), dict) else [None]
        if not why and all(isinstance(time, int | float | dict) and not isinstance(time, bool) for time in times):
            why = "a time may be a number alone" if label.count(".") == 1 else ""
        yield case(label, f"{i}.json", _json(value), why)
    for label, content in {**RAW, "alias bomb": BOMB.encode(), "nested YAML": b"- " * 100_000}.items():
        yield case(label, f"{label}.yaml", content)
        yield case(f"{label} as rows", f"{label}.csv", content)


GENERATE, REPORT, PREDICT = ("generate", "--latency", "70%"), ("report",), ("predict",)
READERS = {  # file of a run folder -> commands that read it
    "run.json": (GENERATE, ("generate", "--front"), REPORT, PREDICT), "distribution.json": (GENERATE, REPORT),
    "latency.json": (GENERATE, REPORT), "front.json": (REPORT,), "search.jsonl": (REPORT,),
}


def runs(folder: Path, rng: random.Random, inputs: int) -> Iterator[Case]:
    """Run folders, their hashes made anew, through `generate`, `report`, `verify`, `predict` and `compress --from`."""
    old = unpacked() / "run"
    image = folder / "digit.png"
    _image(image)
    for i in range(inputs):
        run, name = copy_of("run", folder / str(i)), rng.choice(list(READERS))
        lines = (old / name).read_text().splitlines() if name == "search.jsonl" else [(old / name).read_text()]
        value, label, why = spoilt(json.loads(lines[0]), rng)
        if name != "run.json":
            (run / name).write_bytes(b"\n".join([_json(value), *(line.encode() for line in lines[1:])]) + b"\n")
        _seal(run, value if name == "run.json" else json.loads((old / "run.json").read_text()))
        command, *more = rng.choice(READERS[name])
        words = (command, str(run), *([str(image)] if command == "predict" else more))
        yield Case(f"{name}: {label}", (*HWNAS, *words), why, (2, 3))
    for label, content in RAW.items():
        run = copy_of("run", folder / label.replace(" ", "-").replace(",", ""))
        (run / "run.json").write_bytes(content)
        yield Case(f"run.json: {label}", (*HWNAS, "report", str(run)))


def _seal(run: Path, state: Any) -> None:
    """run.json with the hashes that its files have now."""
    if isinstance(state, dict):
        for record in state.get("stages", {}).values() if isinstance(state.get("stages"), dict) else ():
            if isinstance(record, dict) and isinstance(record.get("files"), dict):
                for name in record["files"]:
                    if isinstance(name, str) and name and "\x00" not in name and (run / name[:200]).is_file():
                        record["files"][name] = sha256(run / name)
        content = json.dumps({k: v for k, v in state.items() if k != "integrity"}, sort_keys=True)
        state["integrity"] = hashlib.sha256(content.encode()).hexdigest()
    (run / "run.json").write_bytes(_json(state))


def _image(path: Path) -> None:
    from PIL import Image

    Image.new("L", (16, 16), 128).save(path)


def models(folder: Path, rng: random.Random, inputs: int) -> Iterator[Case]:
    """ONNX files through `predict` and `verify`: metadata, external data, weights that are NaN, damaged bytes."""
    import numpy as np
    import onnx

    run = unpacked() / "run"
    content, image = (run / "model.onnx").read_bytes(), folder / "digit.png"
    _image(image)
    told = {p.key: p.value for p in onnx.load_model_from_string(content).metadata_props}
    for i in range(inputs):
        path, proto, why = folder / f"{i}.onnx", onnx.load_model_from_string(content), ""
        how = rng.choice(["metadata", "metadata", "bytes", "external", "nan", "cut"])
        data, label = b"", how
        if how == "metadata":
            value, label, why = spoilt(json.loads(told["hwnas"]), rng)
            del proto.metadata_props[:]
            onnx.helper.set_model_props(proto, {"hwnas": _json(value).decode()})
        elif how in ("external", "nan"):
            tensor = rng.choice([t for t in proto.graph.initializer if t.data_type == 1 and t.raw_data])
            if how == "nan":
                tensor.raw_data = np.full(len(tensor.raw_data) // 4, np.nan, np.float32).tobytes()
            else:
                tensor.data_location = onnx.TensorProto.EXTERNAL
                entry = tensor.external_data.add()
                entry.key, entry.value = "location", rng.choice(["/etc/passwd", "../x.bin", "x.bin"])
        elif how == "cut":
            data = content[: rng.randrange(len(content))]
        else:
            at = rng.randrange(len(content) - 8)
            data, why = content[:at] + rng.randbytes(4) + content[at + 4:], "a weight may be another number"
        path.write_bytes(data or proto.SerializeToString())
        words = rng.choice([("predict", str(path), str(image)),
                            ("verify", str(path), "--samples", str(run / "samples.safetensors"))])
        yield Case(label, (*HWNAS, *words), why, (2, 4))


def bundles(folder: Path, rng: random.Random, inputs: int) -> Iterator[Case]:
    """Bundles, their hashes made anew, through `hwnas bundle verify` and their own runner."""
    facts = json.loads((unpacked() / "bundle" / "model.json").read_text())

    def case(label: str, content: bytes, why: str = "") -> Case:
        bundle = copy_of("bundle", folder / str(rng.randrange(10**12)))
        (bundle / "model.json").write_bytes(content)
        for name, source in sources(["onnxruntime"]).items():  # the runner of today
            (bundle / name).parent.mkdir(parents=True, exist_ok=True)
            (bundle / name).write_bytes(source)
        lines = [line.split("  ", 1)[1] for line in (bundle / "SHA256SUMS").read_text().splitlines()]
        (bundle / "SHA256SUMS").write_text("".join(f"{sha256(bundle / name)}  {name}\n" for name in lines))
        words = rng.choice([(*HWNAS, "bundle", "verify", str(bundle), "--runtime", "onnxruntime"),
                            (sys.executable, str(bundle / "bundle.py"), "verify", "--runtime", "onnxruntime"),
                            (sys.executable, str(bundle / "bundle.py"), "predict", str(folder / "digit.png"))])
        return Case(label, words, why, (2, 4))

    _image(folder / "digit.png")
    for _ in range(inputs):
        value, label, why = spoilt(facts, rng)
        yield case(label, _json(value), why)
    for label, content in RAW.items():
        yield case(label, content)


DRY_RUN = ("compress", "--dry-run", "--target", "raspberry-pi-4", "--flops", "60%", "--config")


def targets(folder: Path, rng: random.Random, inputs: int) -> Iterator[Case]:
    """Targets and --config through `targets validate` and `compress --dry-run`."""
    from hwnas.target import load

    target = load("raspberry-pi-4").model_dump(mode="json", exclude_none=True)
    config = {"data": "digits", "target": "raspberry-pi-4", "epochs": 3, "budgets": {"flops": "60%"}, "seed": 1}

    def case(label: str, name: str, content: bytes, command: tuple[str, ...], why: str = "") -> Case:
        (folder / name).write_bytes(content)
        seconds = SECONDS if command[0] == "targets" else 40.0  # a dry run that is accepted computes for 6 s
        return Case(label, (*HWNAS, *command, str(folder / name)), why, seconds=seconds)

    for i in range(inputs):
        kind, command = rng.choice([(target, ("targets", "validate")), (config, DRY_RUN)])
        value, label, why = spoilt(kind, rng)
        yield case(f"{command[0]}: {label}", f"{i}.yaml", _json(value), command, why)  # which is YAML, too
    for label, content in {**RAW, "alias bomb": BOMB.encode(), "nested YAML": b"- " * 100_000}.items():
        nothing = "an empty file asks for nothing" if label in ("empty", "null") else ""
        yield case(f"targets: {label}", f"t-{label}.yaml", content, ("targets", "validate"))
        yield case(f"config: {label}", f"c-{label}.yaml", content, DRY_RUN, nothing)


def carried(folder: Path, rng: random.Random, inputs: int) -> Iterator[Case]:
    """Carried folders through `agent import`."""
    from hwnas.pipeline import export_job
    from hwnas.space import SpaceConfig, build
    from hwnas.target import Target

    job = folder / "job"
    export_job(build(SpaceConfig("mobile", 16, 1, 10, depth=1)), Target(name="mine"), job, max_seconds=2.0)
    subprocess.run([sys.executable, str(job / "hwnas-agent.pyz"), str(job)], check=True, capture_output=True)
    made = {name: (job / name).read_bytes() for name in ("job.json", "export.json", "results.jsonl")}
    lines = made["results.jsonl"].splitlines()

    def case(label: str, name: str, content: bytes, why: str = "") -> Case:
        import shutil

        place = Path(shutil.copytree(job, folder / str(rng.randrange(10**12))))
        (place / name).write_bytes(content)
        return Case(f"{name}: {label}", (*HWNAS, "agent", "import", str(place), "--tables", str(place / "tables")), why)

    for _ in range(inputs):
        name = rng.choice(["results.jsonl", "results.jsonl", "job.json", "export.json"])
        if name == "results.jsonl":
            number = rng.choice([0, rng.randrange(len(lines))])
            value, label, why = spoilt(json.loads(lines[number]), rng)
            content = b"\n".join([*lines[:number], _json(value), *lines[number + 1:]]) + b"\n"
            yield case(f"line {number + 1}: {label}", name, content, why)
        else:
            value, label, why = spoilt(json.loads(made[name]), rng)
            yield case(label, name, _json(value), why)
    for label, content in RAW.items():
        yield case(label, rng.choice(sorted(made)), content)


def spaces(folder: Path, rng: random.Random, inputs: int) -> Iterator[Case]:
    """Files of spaces through `spaces show`, at their own size and another, and `agent export`."""
    from hwnas.space import SpaceConfig, build, space_to_json
    from tests.space.own_spaces import two_roads

    made = [two_roads(reference=[0, 1, 0]), space_to_json(build(SpaceConfig("mobile", 16, 1, 10, depth=1))),
            space_to_json(build(SpaceConfig("mobile", 64, 3, 4, head="fcos", depth=1, head_width=16)))]
    for i in range(inputs):
        value, label, why = spoilt(rng.choice(made), rng)
        (folder / f"{i}.json").write_bytes(_json(value))
        export = ("agent", "export", str(folder / f"job{i}"), "--target", "raspberry-pi-4", "--space")
        command = rng.choice((("spaces", "show"), ("spaces", "show", "--imgsz", "32"), export))
        yield Case(f"{' '.join(command[:2])}: {label}", (*HWNAS, *command, str(folder / f"{i}.json")), why)
    for label, content in RAW.items():
        (folder / f"{label}.json").write_bytes(content)
        yield Case(label, (*HWNAS, "spaces", "show", str(folder / f"{label}.json")))


KINDS: dict[str, Kind] = {
    "table": tables, "published table": imports, "run folder": runs, "model": models, "bundle": bundles,
    "target and config": targets, "carried folder": carried, "space": spaces,
}


def outcome(case: Case) -> tuple[str, str]:
    """How an input ended: 'refused', 'accepted', 'unexplained', 'traceback' or 'hang'; and what was said last."""
    try:
        done = subprocess.run(case.command, capture_output=True, timeout=case.seconds, check=False,
                              cwd=tempfile.gettempdir())
    except subprocess.TimeoutExpired:
        return "hang", f"more than {case.seconds:.0f} s"
    said = done.stderr.decode("utf-8", "replace").strip()
    if "Traceback" in said or "something unexpected" in said or done.returncode < 0:
        return "traceback", (said.splitlines() or [f"signal {-done.returncode}"])[-1]
    if done.returncode == 0:
        return ("accepted", case.why) if case.why else ("unexplained", "")
    lines = [line for line in said.splitlines() if line.startswith("error:")]
    one = done.returncode in case.codes and (len(lines) == 1 or done.returncode == 4)
    return ("refused", said) if one else ("traceback", f"exit {done.returncode}: {said[:200]}")


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--inputs", type=int, default=25, help="of every kind, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--show", action="store_true", help="every input, its outcome and what was said")
    given = parser.parse_args(words)
    bad = 0
    print("| kind | inputs | refused | accepted | unexplained | tracebacks | hangs |\n|---|---|---|---|---|---|---|")
    for name in given.kinds or KINDS:
        with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(given.jobs) as pool:
            cases = list(KINDS[name](Path(scratch), random.Random(f"{given.seed} {name}"), given.inputs))
            ends = list(pool.map(outcome, cases))
        counts = Counter(end for end, _ in ends)
        print(f"| {name} | {len(cases)} | " + " | ".join(
            str(counts[end]) for end in ("refused", "accepted", "unexplained", "traceback", "hang")) + " |", flush=True)
        bad += counts["unexplained"] + counts["traceback"] + counts["hang"]
        for case, (end, said) in zip(cases, ends, strict=True):
            if given.show or end in ("unexplained", "traceback", "hang"):
                print(f"  {end}: {case.label}: {said}\n    {' '.join(case.command)}", file=sys.stderr)
        for why, count in Counter(said for end, said in ends if end == "accepted").items():
            print(f"  {count} accepted: {why}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
