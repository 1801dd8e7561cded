"""Regret of strategies: against brute force, in parallel, cut off and gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from hwnas.bench import StrategySpec, TabularBenchmark, compare, run
from hwnas.bench.code_hash import code_of
from hwnas.bench.workers import Search, play
from hwnas.errors import InputError, UnknownName, UsageError
from hwnas.search import create
from hwnas.search.strategy import Score

COUNTS, SEEDS = [3, 8, 20], range(4)

ODD = """
from hwnas.search.random_search import RandomSearch
class Seedless(RandomSearch):
    def __init__(self, choices, evaluations): super().__init__(choices, evaluations)
class Anew(RandomSearch):
    anytime = False
class Short(RandomSearch):
    anytime = False
    def __init__(self, choices, evaluations, seed=0): super().__init__(choices, min(evaluations, 5), seed)
class Long(RandomSearch):
    def __init__(self, choices, seed=0): super().__init__(choices, 10, seed)
class Outside(RandomSearch):
    def _draw(self): return (99,) * len(self.choices)
class Refuses(RandomSearch):
    def _draw(self):
        from hwnas.errors import UnknownName
        raise UnknownName("mood", "bad", ["good"])
class Breaks(RandomSearch):
    def _draw(self): raise KeyError("oh")
"""


@pytest.fixture
def odd(install: Callable[[str, Mapping[str, str], str], None], tmp_path: Path) -> Path:
    module = f"odd_{abs(hash(tmp_path))}"
    names = [line.split()[1].partition("(")[0] for line in ODD.splitlines() if line.startswith("class ")]
    points = "\n".join(f"{name.lower()} = {module}:{name}" for name in names)
    install(module, {module: ODD}, f"[hwnas.strategies]\n{points}\n")
    return tmp_path / "site" / f"{module}.py"


def test_the_regret_of_random_search(hills: TabularBenchmark) -> None:
    """The answer has the best signal of the first n draws, the earliest of equals."""
    result = run(hills, "random", {}, COUNTS, SEEDS)
    assert result.regrets().shape == (3, 4)
    for seed in SEEDS:
        strategy, seen, asked = create("random", hills.choices, evaluations=20, seed=seed), hills.seeded(seed), []
        while not strategy.done:
            (ask,) = strategy.ask(1)
            asked.append(ask.choice)
            strategy.tell(ask.id, Score(seen.signal(ask.choice)))
        for row, count in zip(result.regrets(), COUNTS, strict=True):
            answer = max(asked[:count], key=seen.signal)
            assert row[seed] == hills.truths.max() - hills.truths[answer]
    assert result.spent() == COUNTS
    assert result.limit() == pytest.approx(np.mean([hills.seeded(seed).limit for seed in (0, 1)]))


def test_equal_signals_count_once() -> None:
    truth = np.arange(8.0).reshape(2, 2, 2)
    benchmark = TabularBenchmark("flat", [np.zeros_like(truth)], truth)
    (outcome,) = run(benchmark, "random", {}, [30], [5]).outcomes
    assert outcome.choice == create("random", (2, 2, 2), evaluations=30, seed=5).ask(1)[0].choice
    assert (outcome.signal, outcome.regret) == (0, 7 - truth[outcome.choice])


def test_a_strategy_that_is_anytime_is_read_off(hills: TabularBenchmark, odd: Path) -> None:
    assert run(hills, "random", {}, COUNTS, SEEDS).outcomes == run(hills, "anew", {}, COUNTS, SEEDS).outcomes
    assert run(hills, "short", {}, COUNTS, SEEDS).spent() == [3, 5, 5]


def test_options_go_to_the_strategy_and_its_own_plan_counts(hills: TabularBenchmark, odd: Path) -> None:
    assert run(hills, "migo", {}, [45, 20], [0]).spent() == [20, 45]
    planned = [create("migo", hills.choices, mode="pooled", evaluations=count).evaluations for count in (20, 45)]
    assert run(hills, "migo", {"mode": "pooled"}, [45, 20], [0]).spent() == planned  # whole cycles
    assert all(count - max(hills.choices) < made <= count for made, count in zip(planned, (20, 45), strict=True))
    own = create("migo", hills.choices, mode="pooled", s=1).evaluations
    assert run(hills, "migo", {"mode": "pooled", "s": 1}, [45, 20], [0]).spent() == [own, own]
    assert run(hills, "long", {}, [12, 30], [0]).spent() == [10, 10]


def test_parallel_is_serial(hills: TabularBenchmark, odd: Path) -> None:
    specs = [*map(StrategySpec, ("random", "anew", "seedless")), StrategySpec("migo", {"mode": "pooled"})]
    told: list[tuple[str, int, int]] = []
    alone = compare(hills, specs, [20, 40], SEEDS, 1, progress=lambda *word: told.append(word))
    assert alone == compare(hills, specs, [40, 20, 40], [3, 1, 2, 0], 3)
    assert told == [("searches", i, 24) for i in range(1, 25)]  # 4 + 4 anytime, 8 + 8 not
    assert alone[0].outcomes == run(hills, "random", {}, [20, 40], SEEDS).outcomes


def test_what_was_cut_off_goes_on(hills: TabularBenchmark, odd: Path, tmp_path: Path) -> None:
    specs = [StrategySpec("random"), StrategySpec("anew", {"ridge": 1.0})]
    path, told = tmp_path / "regret.jsonl", list[int]()
    whole = compare(hills, specs, [20, 40], SEEDS, out=tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    assert len(lines) == 16
    for kept, missing in ((0, 12), (1, 12), (2, 11), (5, 10), (15, 1)):  # 4 anytime searches of two lines, 8 of one
        path.write_text("".join(lines[:kept]) + lines[kept][:-9], encoding="utf-8")
        told.clear()
        again = compare(hills, specs, [20, 40], SEEDS, out=tmp_path, progress=lambda _, n, __: told.append(n))
        assert again == whole
        assert len(told) == missing
        assert sorted(path.read_text(encoding="utf-8").splitlines(keepends=True)) == sorted(lines)


def test_nothing_is_done_twice_and_nothing_else_is_taken_for_it(hills: TabularBenchmark, odd: Path,
                                                                tmp_path: Path) -> None:
    def searches(benchmark: TabularBenchmark, spec: StrategySpec, counts: list[int], seeds: int) -> int:
        told: list[int] = []
        compare(benchmark, [spec], counts, range(seeds), out=tmp_path, progress=lambda _, n, __: told.append(n))
        return len(told)

    other = TabularBenchmark("hills", hills.signals, hills.truths + 1)
    assert searches(hills, StrategySpec("random"), [5, 9], 2) == 2
    assert searches(hills, StrategySpec("random"), [9], 2) == 0
    assert searches(hills, StrategySpec("random"), [5, 9, 12], 3) == 3
    assert searches(other, StrategySpec("random"), [5], 2) == 2
    assert searches(hills, StrategySpec("random", {"ridge": 2}), [5], 2) == 2
    assert searches(hills, StrategySpec("seedless"), [5], 2) == 2
    assert searches(hills, StrategySpec("seedless"), [5], 2) == 0
    odd.write_text(ODD + "\n", encoding="utf-8")
    code_of.cache_clear()  # as in another process
    assert searches(hills, StrategySpec("seedless"), [5], 2) == 2
    first = json.loads((tmp_path / "regret.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert next(iter(first)) == "hwnas_regret"
    assert {"benchmark", "strategy", "options", "code", "seed", "evaluations", "regret"} <= set(first)


@pytest.mark.parametrize(("content", "match"), [
    ('{"hwnas_table": 1}\n', "line 1: the key \"hwnas_regret\" must be 1.*another folder"),
    ('{"hwnas_regret": 2}\n', "must be 1"), ("[]\n", "must be 1"), ("nonsense\n", "line 1 is not valid JSON"),
])
def test_a_file_that_is_none_of_ours(content: str, match: str, hills: TabularBenchmark, tmp_path: Path) -> None:
    (tmp_path / "regret.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=match):
        run(hills, "random", {}, [5], [0], out=tmp_path)
    assert (tmp_path / "regret.jsonl").read_text(encoding="utf-8") == content


def test_a_line_that_lacks_something(hills: TabularBenchmark, tmp_path: Path) -> None:
    run(hills, "random", {}, [5], [0], out=tmp_path)
    line = json.loads((tmp_path / "regret.jsonl").read_text(encoding="utf-8"))
    del line["choice"]
    (tmp_path / "regret.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 1 is no outcome"):
        run(hills, "random", {}, [5], [0], out=tmp_path)


def test_one_comparison_at_a_time_in_a_folder(hills: TabularBenchmark, tmp_path: Path) -> None:
    from hwnas.bench.results_log import alone

    with alone(tmp_path), pytest.raises(UsageError, match="another hwnas process"):
        run(hills, "random", {}, [5], [0], out=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write into"):
        run(hills, "random", {}, [5], [0], out=tmp_path / "file")


@pytest.mark.parametrize(("strategy", "options", "counts", "seeds", "match"), [
    ("mgo", {}, [5], [0], "Did you mean 'migo'"),
    ("migo", {"gama": 1}, [30], [0], "Did you mean 'gamma'"),
    ("migo", {"ridge": -1}, [30], [0], "ridge"),
    ("migo", {"s": 9}, [20], [0], "where 20 are allowed"),
    ("random", {"seed": 1}, [5], [0], "seed is no option"),
    ("random", {"ridge": object()}, [5], [0], "plain values"),
    ("random", {}, [0, 5], [0], "evaluations must be whole numbers of at least 1"),
    ("random", {}, [2.5], [0], "evaluations must be whole"),
    ("random", {}, [5], [], "seeds must be whole"),
    ("long", {}, [9], [0], "plans 10 evaluations where 9 are allowed"),
])
def test_what_cannot_be_compared_is_refused_before_any_work(
    strategy: str, options: dict[str, object], counts: list[int], seeds: list[int], match: str,
    hills: TabularBenchmark, odd: Path, tmp_path: Path,
) -> None:
    with pytest.raises((UsageError, UnknownName), match=match):
        run(hills, strategy, options, counts, seeds, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_strategy_twice_and_at_least_one(hills: TabularBenchmark) -> None:
    for specs in ([], [StrategySpec("random"), StrategySpec("random", {})]):
        with pytest.raises(UsageError, match="all different"):
            compare(hills, specs, [5], [0])
    with pytest.raises(UsageError, match="workers"):
        run(hills, "random", {}, [5], [0], workers=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_strategy_that_fails_says_which_and_where(workers: int, hills: TabularBenchmark, odd: Path,
                                                    tmp_path: Path) -> None:
    specs = [StrategySpec("random"), StrategySpec("refuses")]
    with pytest.raises(UsageError, match=r"strategy 'refuses', seed 0: unknown mood 'bad'"):
        compare(hills, specs, [5], [0], workers, out=tmp_path / "out")
    if workers == 1:
        assert len((tmp_path / "out" / "regret.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_asks_outside_the_space_and_defects(hills: TabularBenchmark, odd: Path) -> None:
    with pytest.raises(UsageError, match=r"'outside', seed 2: it asked for what is no architecture"):
        run(hills, "outside", {}, [5], [2])
    with pytest.raises(RuntimeError, match=r"'breaks', seed 0: KeyError"):
        run(hills, "breaks", {}, [5], [0])


def test_a_search_alone(hills: TabularBenchmark) -> None:
    outcomes = play(Search(hills.seeded(1), StrategySpec("random"), 1, (2, 6)))
    assert [(o.seed, o.evaluations, o.spent) for o in outcomes] == [(1, 2, 2), (1, 6, 6)]
    assert all(o.regret == hills.best_truth - o.truth and o.truth == hills.truth(o.choice) for o in outcomes)
