"""compress with other strategies and evaluators than MIGO and shared weights; what does not go together is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hwnas.documents import read_json
from hwnas.errors import UnknownName, UsageError
from hwnas.pipeline import RunFolder, compress, make_config
from hwnas.pipeline.display.stage_lines import line
from hwnas.pipeline.run.cautions import warnings_of
from hwnas.pipeline.run.results import SearchResult
from hwnas.search.distribution import Distribution
from hwnas.search.log import SearchLog


@pytest.mark.slow
@pytest.mark.parametrize("roles", [
    {"strategy": "rea", "evaluations": 6, "reduce": "none"},
    {"strategy": "asng", "evaluator": "scratch", "evaluations": 4},
    {"strategy": "random", "evaluator": "table", "evaluations": 400},
    {"searcher": "proxylessnas", "evaluations": 4},
    {"evaluator": "bn", "evaluations": 4},
    {"evaluator": "bn", "bn_scope": "all", "evaluations": 4, "reduce": "migo"},
    {"reduce": "angle", "evaluations": 4},
    {"reduce": "classes", "evaluations": 4},
    {"evaluator": "partial", "space": "nasbench201", "depth": 1, "evaluations": 3},
    {"searcher": "fpnas", "evaluations": 4, "cost_target": 0.5},
    {"reduce": "evolve", "space": "nse", "depth": 1, "evaluations": 4},
], ids=lambda roles: "-".join(map(str, roles.values())))
def test_other_roles_end_in_an_architecture(roles: dict[str, Any], small: dict[str, Any], finished: RunFolder,
                                            tmp_path: Path) -> None:
    if roles.get("evaluator") == "table":
        roles = roles | {"evaluation_table": str(finished.path / "search.jsonl")}
    run = compress(tmp_path / "run", budgets={"flops": "60%"}, until="generate", **small | roles)
    law = Distribution.from_json(read_json(run.path / "distribution.json"))
    entries = SearchLog(run.path / "search.jsonl").asked()
    assert 0 < len(entries) <= roles["evaluations"]
    assert run.result("generate")
    found, failures = run.found(SearchResult), SearchLog(run.path / "search.jsonl").failures
    assert found.failed == len(failures) == roles["evaluations"] - len(entries)
    assert found.evaluator == roles.get("evaluator", "shared")
    why = failures[0].failed if failures else ""
    told = f"{found.failed} of {roles['evaluations']} evaluations failed, the first: {why}" if failures else ""
    assert found.warnings == [told] * bool(failures)
    assert [text for text in warnings_of(run) if "evaluations failed" in text] == found.warnings
    assert told in line(found)
    assert all(mask.any() for mask in law.live)


@pytest.mark.parametrize(("options", "rule"), [
    ({"search_workers": 2}, "scored in one process"),
    ({"executor": "processes"}, "--executor processes: shared weights change .* --evaluator scratch"),
    ({"evaluator": "table"}, "go together"),
    ({"searcher": "darts", "evaluator": "scratch"}, "trains shared weights"),
    ({"searcher": "weight_sharing", "evaluator": "scratch"}, "trains shared weights"),
    ({"searcher": "ask_tell"}, "--evaluator scratch"),
    ({"searcher": "gdas", "strategy": "rea"}, "leave out --strategy"),
    ({"searcher": "proxylessnas", "training": "path"}, "leave out --strategy and --training path"),
    ({"evaluation_table": "x"}, "go together"),
    ({"training": "path", "strategy": "rea"}, "--training fair"),
    ({"training": "path", "evaluations": 20}, "--training fair"),
    ({"searcher": "additive"}, "give --evaluator bn"),
    ({"evaluator": "bn", "strategy": "rea"}, "asks no strategy: leave out --strategy"),
    ({"evaluator": "bn", "searcher": "weight_sharing"}, "leave out --evaluator bn"),
    ({"bn_scope": "all"}, "give that as well, or leave it out"),
    ({"reduce": "angle", "evaluator": "bn"}, "--reduce angle"),
    ({"reduce": "angle", "searcher": "darts"}, "take --reduce migo"),
    ({"reduce": "classes", "searcher": "darts"}, "--reduce classes shrinks"),
    ({"cost_target": 0.5}, "--cost-target 0.5 is of --searcher fpnas and parsec"),
    ({"evaluator": "partial", "strategy": "rea"}, "--evaluator partial asks no strategy"),
    ({"searcher": "parsec", "strategy": "rea"}, "leave out --strategy"),
    ({"reduce": "classes", "task": "detect", "head": "fcos"}, "--reduce classes shows one class"),
])
def test_roles_that_do_not_go_together(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        make_config(options)


@pytest.mark.parametrize(("options", "rule"), [
    ({"strategy": "mgio"}, "Did you mean 'migo'"), ({"evaluator": "share"}, "Did you mean 'shared'"),
    ({"reduce": "non"}, "Did you mean 'none'"), ({"reduce": "angel"}, "Did you mean 'angle'"),
    ({"executor": "process"}, "Did you mean 'processes'"),
    ({"searcher": "gda"}, "Did you mean 'gdas'"),
])
def test_unknown_roles(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(UnknownName, match=rule):
        make_config(options)
