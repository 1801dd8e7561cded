"""What learns best how far plans are from the sum of their replacements' losses: the belief that ships, or MIGO.

    python own_residual.py --runs /tmp/own/resnet20/run-50 /tmp/own/ppocr/run-60

Every run of a user's own network keeps what its options lost alone (scores.jsonl) and what whole plans lost, round by
round (plans.jsonl). Each learner is shown the rounds before one and says what the plans of that one lose; nothing is
trained or timed. Taken: by how much the plan that it would take is worse than the best of the round.

symbol  meaning                                                     shape
x       which option each place has, of those that any plan has     (n, d)
y, s    losses of plans, true and as the sum of scores              (n,)
z       what is learnt: y - s, or log(y / s)                        (n,)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hwnas.files import read_lines
from hwnas.search.effects import fit_effects
from hwnas.search.surrogates.interaction_gp import Posterior, Prior, agreements
from hwnas.surgery.plan import Option, Plan
from hwnas.surgery.planning import Losses
from hwnas.surgery.residual import corrected

Floats = np.ndarray
Learner = Callable[[Losses, list[Plan], Floats, list[Plan]], Floats]
RIDGES = (1.0, 10.0)


def summed(first: Losses, plans: list[Plan]) -> Floats:
    """s."""
    return np.array([first.predict(plan) for plan in plans])


def one_factor(first: Losses, seen: list[Plan], y: Floats, asked: list[Plan]) -> Floats:
    """The sum, times what is usual."""
    return np.median(y / summed(first, seen)) * summed(first, asked)


def belief(first: Losses, seen: list[Plan], y: Floats, asked: list[Plan]) -> Floats:
    """As `hwnas.surgery.residual` has it."""
    return summed(corrected(first, seen, y.tolist()), asked)


def coded(plans: list[Plan]) -> tuple[np.ndarray, tuple[int, ...]]:
    """x, and how many options each place has."""
    places = sorted({place for plan in plans for place in plan})
    columns = [np.unique([plan[place].key if place in plan else "" for plan in plans], return_inverse=True)
               for place in places]
    return np.stack([found for _, found in columns], 1), tuple(len(names) for names, _ in columns)


def migo(effects: float | None, ratio: bool) -> Learner:
    """MIGO's additive effects with a ridge, or with None its interactions of up to three places."""
    def learnt(first: Losses, seen: list[Plan], y: Floats, asked: list[Plan]) -> Floats:
        x, choices = coded([*seen, *asked])
        s, base, n = summed(first, seen), summed(first, asked), len(seen)
        z = np.log(y / s) if ratio else y - s
        if effects is not None:
            rows = fit_effects(x[:n].tolist(), z.tolist(), [0] * n, choices, effects).rows()
            alone = np.sum([row[x[:, i]] for i, row in enumerate(rows)], axis=0)
            found = z.mean() + alone[n:] - alone[:n].mean()
        else:
            scale = z.std() + 1e-12
            told = (z - z.mean()) / scale
            prior = Prior().fit(agreements(x[:n], x[:n]), told, x.shape[1])
            found = z.mean() + scale * Posterior(prior, x[:n], told).moments(x[n:])[0]
        return base * np.exp(found) if ratio else base + found
    return learnt


LEARNERS: dict[str, Learner] = {
    "the sum": lambda first, seen, y, asked: summed(first, asked), "one factor for all": one_factor, "belief": belief,
    **{f"MIGO, {f'effects, ridge {ridge:g}' if ridge else 'interactions'}, of the {'ratio' if ratio else 'difference'}":
       migo(ridge, ratio) for ratio in (False, True) for ridge in (*RIDGES, None)}}


def losses(run: Path) -> Losses:
    """What options lost alone, and what pairs of forms add beyond that, in every precision of the two."""
    rows = {tuple(row["what"].split(" ")): row for row in read_lines(run / "scores.jsonl")}
    alone = {key: row["loss"] for key, row in rows.items() if len(key) == 2 and key[0] != "uniform"}
    pairs: dict[tuple[str, str, str, str], float] = {}
    for key, row in rows.items():
        if key[0] != "pair":
            continue
        first, a, second, b = key[1:]
        beyond = max(row["loss"] - alone[first, a] - alone[second, b], 0.0)
        forms = {place: Option.read(told).form for place, told in ((first, a), (second, b))}
        keys = {place: [k for p, k in alone if p == place and Option.read(k).form == form]
                for place, form in forms.items()}
        pairs |= {(first, x, second, y): beyond for x in keys[first] for y in keys[second]}
    return Losses(alone, pairs=pairs)


def rounds(run: Path) -> list[dict[str, tuple[float, float, float]]]:
    """Of every round but the first: learner -> relative error, rank correlation, and how much is lost by its choice."""
    first = losses(run)
    rows = {repr(row["plan"]): row for row in read_lines(run / "plans.jsonl") if row["round"].startswith("round ")}
    plans = [{place: Option.read(key) for place, key in row["plan"].items()} for row in rows.values()]
    y = np.array([row["loss"] for row in rows.values()])
    number, found = np.array([int(row["round"].split()[1]) for row in rows.values()]), []
    for last in sorted(set(number.tolist()))[1:]:
        seen, asked = ([plans[i] for i in np.flatnonzero(which)] for which in (number < last, number == last))
        truth, told = y[number == last], {}
        for name, learner in LEARNERS.items():
            said = learner(first, seen, y[number < last], asked)
            ranks = [np.argsort(np.argsort(values)) for values in (said, truth)]
            told[name] = (float(np.abs(said / truth - 1).mean()), float(np.corrcoef(ranks)[0, 1]),
                          float(truth[said.argmin()] / truth.min() - 1))
        found.append(told)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    found = [one for run in args.runs for one in rounds(run)]
    print(f"{len(found)} rounds of {len(args.runs)} runs\n\n| learner | error % | less than the belief's | rank "
          "correlation | lost by its choice % |\n|---|---|---|---|---|")
    for name in LEARNERS:
        error, rank, lost = (np.array(values) for values in zip(*(one[name] for one in found), strict=True))
        less = 100 * (np.array([one["belief"][0] for one in found]) - error)
        told = f"{less.mean():+.1f} +- {less.std(ddof=1) / len(less) ** 0.5:.1f}"
        print(f"| {name} | {100 * error.mean():.1f} | {told} | {np.nanmean(rank):.2f} | {100 * lost.mean():.1f} |")


if __name__ == "__main__":
    main()
