"""What a table costs in seconds: every model in every sweep, or networks in turns and entries known by their share.

    python benchmarks/latency_time.py --out DIR [--space mobile ...] [--runtime onnxruntime ...] [--precision fp32 ...]
    python benchmarks/latency_time.py --out DIR --write benchmarks/latency_time.md     measures nothing

For each setting one recording: the blocks and networks of `hwnas profile` and `--truth` further networks, all of them
in every sweep, for `--seconds`. From it both ways are replayed from `--starts` beginnings, with nothing left out but
visits: the table, its calibration, and the error on the further networks, whose own times are medians of the whole
recording. What a sweep takes is the sum of what its visits took.

all        every model in every sweep, for 60 s, 30 or 15
before     the same until half of the entries are known to 3 % of themselves, two halves predict the same to 1.5 %, the
           networks' own times agree to 2 %, and 10 s are over, or 60 s: how it was done until 2026-11
in turns   networks in every fourth sweep; until every entry is known to 1 % of a network's time, two halves predict
           the same to 3 %, the networks' own times agree to 2 %, and 10 s are over
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from latency import SPACES, held_out

from hwnas.files import write_json
from hwnas.latency import LatencyModel, fit
from hwnas.profile.calibration_networks import draw
from hwnas.profile.campaign import CHECK_EVERY, MIN_SECONDS, MIN_SWEEPS, Campaign, noise_of, settled
from hwnas.profile.graph_format import recipe_for
from hwnas.profile.measure import CALIBRATION_NETWORKS, HELD_OUT
from hwnas.profile.plan import SELDOM, Job
from hwnas.profile.sweeps import Times, times_of
from hwnas.runtime import Fingerprint, LocalDevice, Sweep, SweepPlan, runtime_for
from hwnas.space import Architecture, build
from hwnas.target import load

NETWORKS = CALIBRATION_NETWORKS + HELD_OUT
MOST = 60.0  # seconds of a campaign
ALL = (60.0, 30.0, 15.0)
BESIDES = 1.05  # sentinels and the reference kernel, over the visits


@dataclass(frozen=True)
class Recording:
    """A setting whose models were all visited in every sweep.

    Args:
        campaign: of the table, with the networks that calibrate it; `plan`: how `sweeps` were taken.
        truth: further networks; `truth_ms`: what they take, shape (n,).
    """

    campaign: Campaign
    plan: SweepPlan
    sweeps: Sequence[Sweep]
    truth: Sequence[Architecture]
    truth_ms: np.ndarray

    def error(self, times: Times) -> float:
        """Mean error on the further networks of a table and calibration from these times, percent."""
        medians = times.medians()
        model = LatencyModel("local", "measured", {b.op.signature: b.cost_ms(medians) for b in self.campaign.blocks})
        networks, space = self.campaign.networks, self.truth[0].space
        measured = np.array([medians[f"net {i}"] for i in range(len(networks))])
        found = fit(*model.sums(networks), measured, model.parts(space, networks), model.counts(networks))
        predicted = replace(model, calibration=found).predict_ms(self.truth)
        return 100 * float(np.abs(predicted / self.truth_ms - 1).mean())

    def taken(self, start: int, number: int, every: int) -> Sweep:
        """One sweep as it would have been: the further networks never, the others in turns."""
        whole = self.sweeps[(start + number) % len(self.sweeps)]
        further = {f"net {NETWORKS + i}" for i in range(len(self.truth))}
        plan = replace(self.plan, every={f"net {i}": every for i in range(NETWORKS)})
        due = set(plan.visited((name for name in whole.times_ms if name not in further), number))

        def part(told: Mapping[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in told.items() if name in due}

        return replace(whole, number=number, times_ms=part(whole.times_ms), seconds=part(whole.seconds),
                       visit_kernel_ms=part(whole.visit_kernel_ms))

    def run(self, start: int, every: int, enough: Callable[[Mapping[str, float]], bool] | None, seconds: float
            ) -> tuple[float, float, int]:
        """(error, seconds, sweeps) of a campaign that ends when its samples are enough, or after so many seconds."""
        made: list[Sweep] = []
        spent = 0.0
        while spent < seconds and len(made) < len(self.sweeps):
            made.append(self.taken(start, len(made), every))
            spent += BESIDES * sum(made[-1].seconds.values())
            if enough is None or len(made) % CHECK_EVERY or len(made) < MIN_SWEEPS or spent < MIN_SECONDS:
                continue
            if enough(noise_of(self.campaign, times_of(made))):
                break
        return self.error(times_of(made)), spent, len(made)


def settled_before(noise: Mapping[str, float]) -> bool:
    """What was enough until 2026-11."""
    table = max(noise["noise_odd_even"], noise["noise_halves"])
    return table < 0.015 and noise["label_noise"] < 0.02 and noise["entries_within"] < 0.03


def record(name: str, runtime: str, precision: str, args: argparse.Namespace) -> Recording:
    """Time everything in every sweep."""
    space, target = build(SPACES[name]), load("local", runtime=runtime, precision=precision)
    fitted, others = draw(space, CALIBRATION_NETWORKS, HELD_OUT, np.random.default_rng(args.seed))
    truth = held_out(space, (*fitted, *others), args.truth, args.seed + 2000)
    job = Job(space, space.signatures, (), (*fitted, *others, *truth), target.batch, args.seed, args.seconds)
    if len(job.groups) > 1:
        raise SystemExit(f"{name} has more blocks than are timed together: take another space")
    device, campaign = LocalDevice(runtime_for(target), target.cores), job.campaign(0, {}, {}, 0.0)
    models, plan = job.part(0, campaign, recipe_for(target, device.fingerprint().runtime_version))
    sweeps: list[Sweep] = []
    with device.sweeps(models, replace(plan, every={})) as stream:
        begin = time.perf_counter()
        for sweep in stream:
            sweeps.append(sweep)
            if time.perf_counter() - begin > args.seconds:
                break
    medians = times_of(sweeps).medians()
    return Recording(replace(campaign, networks=campaign.networks[:NETWORKS]), plan, sweeps, truth,
                     np.array([medians[f"net {NETWORKS + i}"] for i in range(len(truth))]))


def setting(name: str, runtime: str, precision: str, args: argparse.Namespace) -> dict[str, Any]:
    """Both ways on one recording."""
    found = record(name, runtime, precision, args)
    starts = [len(found.sweeps) * i // args.starts for i in range(args.starts)]
    ways = {f"all, {seconds:.0f} s": [found.run(start, 1, None, seconds) for start in starts] for seconds in ALL}
    ways |= {"before": [found.run(start, 1, settled_before, MOST) for start in starts],
             "in turns": [found.run(start, SELDOM, settled, MOST) for start in starts]}
    return {"setting": [name, runtime, precision], "sweeps": len(found.sweeps), "ways": ways,
            "device": Fingerprint.of(runtime_for(load("local", runtime=runtime, precision=precision))).to_json()}


def same_error(errors: Mapping[str, float], took: Mapping[str, float]) -> float:
    """Seconds of every model in every sweep for the error that turns have, between those that were replayed."""
    ways = [f"all, {seconds:.0f} s" for seconds in ALL]  # errors fall with seconds, but for noise
    known = np.maximum.accumulate([errors[way] for way in ways])
    logs = np.interp(errors["in turns"], known, np.log([took[way] for way in ways]))
    return float(np.exp(logs))


def page(results: Sequence[Mapping[str, Any]], seconds: float) -> str:
    """A row a setting."""
    device, ways = results[0]["device"], list(results[0]["ways"])
    rows = [["setting", *(f"{way}: error %" for way in ways), "before: s", "in turns: s", "all, same error: s",
             "in turns over that"]]
    rows.append(["---"] * len(rows[0]))
    for result in results:
        errors, took = ({way: float(np.mean([run[i] for run in runs])) for way, runs in result["ways"].items()}
                        for i in (0, 1))
        same = same_error(errors, took)
        rows.append([" ".join(result["setting"]), *(f"{errors[way]:.2f}" for way in ways), f"{took['before']:.0f}",
                     f"{took['in turns']:.0f}", f"{same:.0f}", f"{took['in turns'] / same:.2f}"])
    return "\n".join([
        "# What a table costs in seconds", "", "    python benchmarks/latency_time.py --out DIR", "",
        f"Device: {device['cpu']}, {device['cores']} cores; {time.strftime('%Y-%m-%d')}; recordings of {seconds:.0f} "
        f"s. `all, same error` is read off between those of {', '.join(f'{s:.0f}' for s in ALL)} s, and is the first",
        "or the last of them where that is beyond.", "",
        *(f"| {' | '.join(row)} |" for row in rows), ""])


def main() -> None:
    """Record what the folder lacks; write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--space", nargs="*", default=["mobile", "nasbench201"], choices=list(SPACES))
    parser.add_argument("--runtime", nargs="*", default=["onnxruntime", "openvino"])
    parser.add_argument("--precision", nargs="*", default=["fp32", "int8"])
    parser.add_argument("--truth", type=int, default=60, help="further networks")
    parser.add_argument("--seconds", type=float, default=150.0, help="of a recording")
    parser.add_argument("--starts", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, runtime, precision in (() if args.write else (
            (s, r, p) for s in args.space for r in args.runtime for p in args.precision)):
        path = args.out / f"{name}-{runtime}-{precision}.json"
        if not path.exists():
            write_json(path, setting(name, runtime, precision, args))
            print(page([json.loads(path.read_text())], args.seconds).splitlines()[-1], flush=True)
    results = [json.loads(path.read_text()) for path in sorted(args.out.glob("*.json"))]
    if not results:
        raise SystemExit(f"{args.out} holds no results: run `python benchmarks/latency_time.py --out {args.out}` first")
    text = page(results, args.seconds)
    print(text)
    if args.write:
        args.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
