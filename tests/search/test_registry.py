"""Strategies by name, our own and those of other packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwnas.errors import UnknownName, UsageError
from hwnas.search.migo import MigoOptimizer
from hwnas.search.random_search import RandomSearch
from hwnas.search.registry import TABLE, create, names, strategy_class
from hwnas.search.strategy import Strategy
from tests.search.one_at_a_time import answer, following

PLUGIN = """
from hwnas.search.random_search import RandomSearch
class Mine(RandomSearch):
    def __init__(self, choices, **options):
        super().__init__(choices, **options)
nothing = 3
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package of somebody else, named after its folder so that tests do not share modules."""
    module = f"plugin_{abs(hash(tmp_path))}"
    (tmp_path / f"{module}.py").write_text(PLUGIN)
    info = tmp_path / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    points = {"mine": "Mine", "migo": "Mine", "number": "nothing", "gone": "Gone"}
    lines = [f"{name} = {module}:{attribute}" for name, attribute in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[hwnas.strategies]", *lines, "away = no_such_module_at_all:X"]))
    monkeypatch.syspath_prepend(str(tmp_path))
    return module


def test_every_name_of_the_table_is_a_strategy() -> None:
    classes = {name: strategy_class(name) for name in TABLE}
    assert all(issubclass(kind, Strategy) for kind in classes.values())
    assert (classes["migo"], classes["random"]) == (MigoOptimizer, RandomSearch)
    assert len(set(classes.values())) == len(TABLE)
    assert set(TABLE) <= set(names())


def test_create_passes_options_on() -> None:
    strategy = create("migo", [8] * 28, s=3, mode="corrected")
    assert isinstance(strategy, MigoOptimizer)
    assert strategy.evaluations == 105
    assert create("random", [2, 3], evaluations=7, seed=1).evaluations == 7


def test_unknown_names_and_options() -> None:
    with pytest.raises(UnknownName, match=r"unknown strategy 'mgo'. Did you mean 'migo'"):
        create("mgo", [3])
    with pytest.raises(UnknownName, match=r"'gama'. Did you mean 'gamma'"):
        create("migo", [3], gama=0.5)
    with pytest.raises(UsageError, match="needs the option 'evaluations'"):
        create("random", [3])


def test_other_packages_add_strategies(plugin: str) -> None:
    strategy = create("mine", [3, 3], evaluations=4)
    assert isinstance(strategy, Strategy)
    assert type(strategy).__module__ == plugin
    assert {"mine", "migo", "random"} <= set(names())
    assert strategy_class("migo") is MigoOptimizer


@pytest.mark.parametrize(("name", "match"), [("number", "subclass"), ("gone", "import"), ("away", "import")])
def test_broken_plugins_say_so(plugin: str, name: str, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        create(name, [3])


def test_a_strategy_written_for_0_1_still_works() -> None:
    from hwnas.search.planned import PlannedStrategy, incumbent_law

    class Old(PlannedStrategy):
        name = "old"

        def _draw(self) -> tuple[int, ...]:
            assert len(self._records.samples) == len(self.history.samples)
            return tuple(self._rng.integers(self.choices).tolist())

        def _law(self) -> list:
            return incumbent_law(self.best, self.choices)

        def _options(self) -> dict:
            return {}

    strategy = Old([3, 4], evaluations=6, seed=0)
    while not strategy.done:
        choice = following(strategy)
        answer(strategy, choice, float(sum(choice)))
    assert strategy.best is not None
    assert strategy.distribution().mode() == strategy.best[0]
