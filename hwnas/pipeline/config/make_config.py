"""Options as a user gives them, checked before anything is done: types, bounds, and names that must be known."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from hwnas.data.recipe import find_recipe
from hwnas.documents import brief
from hwnas.errors import UnknownName, UsageError
from hwnas.pipeline.config.budget import COUNTED, called
from hwnas.pipeline.config.compress_config import FLAT, CompressConfig, default_of, flag_of, flat_name, named
from hwnas.pipeline.config.own_network import OWN_NETWORK, check_own_network
from hwnas.tasks.registry import find as find_task
from hwnas.tracking.registry import check

HARMLESS = ("image_cache", "workers", "track", "side_by_side")
"""Options with others of which a run may go on: they change no result of it."""
BY_EVIDENCE = ("fpnas", "parsec")
BY_GRADIENTS = ("darts", "darts2", "entrannas", "entrannas_dst", "gdas", "pcdarts", "proxylessnas", *BY_EVIDENCE)
"""Searchers that ask no strategy."""
STAGED = ("angle", "classes", "evolve")  # reducers that shrink before the search


def make_config(options: dict[str, object], *, known_space: bool = False) -> CompressConfig:
    """Check options, under their flat names.

    Args:
        known_space: the run that they are for has its space already: the file or the module need not be here.

    Raises:
        UsageError: an unknown option, a value out of range, or a budget that cannot be read.
        UnknownName: no such space, head, recipe, target or precision.
        InputError: the file of a recipe says what cannot be.
        MissingDependency: the runtime of this machine, or the library of a tracker, is not installed.
    """
    from hwnas.pipeline.own_code import check_own
    from hwnas.pipeline.task_setup import check_sizes, head_of
    from hwnas.space.find import check_name

    options = named(options)
    if options.get("evaluator") == "bn":
        options = {"reduce": "none"} | options  # sums have an exact best, which pruning could only take away
    unknown = [name for name in options if name not in FLAT]
    if unknown:
        raise UnknownName("option", unknown[0], FLAT)
    config = _checked(options)
    if config.model.source is not None:
        check_own_network(config, options)
        check_distinct(dict.fromkeys(config.target.names))
        check(config.track or ())
        return config
    if given := [name for name in OWN_NETWORK if name in options and options[name] != default_of(name)]:
        raise UsageError(f"{flag_of(given[0])} is of a network of your own: give --model as well, or leave "
                         "it out")
    if not known_space:
        check_name(config.space.name)
    if config.train.recipe is not None:
        find_recipe(config.train.recipe, config.task)
    head_of(config)
    check_sizes(config)
    _check_targets(config)
    _check_search(config)
    check(config.track or ())
    check_own(config)
    if not config.networks[0].wanted:
        raise UsageError("give at least one budget, e.g. --latency 50%")
    return config


def go_on_with(config: CompressConfig, options: dict[str, object]) -> CompressConfig:
    """The configuration of a run that goes on with other options, of those that change no result; None keeps one.

    Raises:
        UsageError: another option, a value out of range, or a tracker that cannot be used.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if other := [name for name in given if name not in HARMLESS]:
        raise UsageError(f"a run goes on as it was configured: leave out {other[0]}")
    if not given:
        return config
    changed = _checked({**config.flat(), **given}).anchored()
    check(changed.track or ())
    return changed


def _checked(options: dict[str, object]) -> CompressConfig:
    try:
        return CompressConfig.model_validate(options)
    except ValidationError as err:
        first = err.errors()[0]
        flag = flag_of(flat_name(first["loc"]))
        rule = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{flag}: {rule}; got {brief(first.get('input'))}") from err


def _check_targets(config: CompressConfig) -> None:
    """Raises UnknownName or UsageError where a target cannot be used, or is there twice under two names."""
    from hwnas.pipeline.latencies.latency_sources import targets_of

    names = dict.fromkeys(config.target.names)
    for name in names:
        targets_of(config.replaced(target=name))
    check_distinct(names)
    _check_one_model(config, len(names))


def check_distinct(names: Iterable[str]) -> None:
    """Raises UsageError where one target is there under two names, UnknownName where there is none of a name."""
    from hwnas.target.find import locate

    seen = dict[Path, str]()
    for name in names:
        same = seen.setdefault(locate(name).resolve(), name)
        if same != name:
            raise UsageError(f"--target: {same} and {name} are the same: leave one out")


def _check_one_model(config: CompressConfig, targets: int) -> None:
    from hwnas.pipeline.latencies.latency_sources import targets_of

    asked = config.target
    if asked.give_up and not asked.one_model:
        raise UsageError("--give-up is of one network for all targets: give --one-model as well, or leave it out")
    if not asked.one_model:
        return
    if targets < 2 or len(config.networks) > targets:
        raise UsageError("--one-model makes one network for several targets, each named once, e.g. --target "
                         "local,raspberry-pi-4 --one-model")
    if other := next((name for each in config.networks for name in each.wanted if name not in COUNTED), None):
        raise UsageError(f"--one-model has budgets of {', '.join(COUNTED)}, and not yet of {called(other)}: leave it "
                         "out, or leave out --one-model")
    if asked.give_up and not any("latency" in each.wanted for each in config.networks):
        raise UsageError("--give-up gives score up for room below budgets of latency: give --latency as well")
    if several := next((name for name in asked.names if len(targets_of(config.replaced(target=name))) > 1), None):
        raise UsageError(f"--one-model: on {several} several precisions would compete, and one network for all is in "
                         "one on each target: name it, e.g. --precision fp32")


def _check_search(config: CompressConfig) -> None:
    from hwnas.search.registry import STRATEGIES
    from hwnas.search.roles import EVALUATORS, EXECUTORS, REDUCERS, SEARCHERS

    asked = config.search
    for plugins, name in ((STRATEGIES, asked.strategy), (EVALUATORS, asked.evaluator), (REDUCERS, asked.reduce),
                          (EXECUTORS, asked.executor or "inline"), (SEARCHERS, asked.searcher or "ask_tell")):
        plugins.check_name(name)
    moving = asked.evaluator in ("shared", "bn", "partial")
    if asked.searcher in (*BY_GRADIENTS, "weight_sharing") and asked.evaluator not in ("shared", "partial"):
        raise UsageError(f"--searcher {asked.searcher} trains shared weights: leave out --evaluator {asked.evaluator}")
    if (asked.searcher == "additive") and asked.evaluator != "bn":
        raise UsageError("--searcher additive reads off weights what ops are worth: give --evaluator bn as well")
    by_itself = asked.evaluator == "bn" or (asked.evaluator == "partial" and asked.searcher is None)
    if by_itself and (asked.strategy != "migo" or asked.schedule == "path"):
        raise UsageError(f"--evaluator {asked.evaluator} asks no strategy: leave out --strategy and --training path")
    if asked.reduce in STAGED and (asked.evaluator != "shared" or asked.searcher in BY_GRADIENTS):
        raise UsageError(f"--reduce {asked.reduce} shrinks a space by the weights that a strategy is asked with: leave "
                         "out --evaluator and --searcher, or take --reduce migo")
    if asked.reduce == "classes" and not find_task(config.task).one_class:
        raise UsageError(f"--reduce classes shows one class after the other, and --task {config.task} has not one an "
                         "image: take --reduce migo")
    if asked.bn_scope != "last" and asked.evaluator != "bn":
        raise UsageError(f"--bn-scope {asked.bn_scope} is of --evaluator bn: give that as well, or leave it out")
    if asked.cost_target is not None and asked.searcher not in BY_EVIDENCE:
        raise UsageError(f"--cost-target {asked.cost_target:g} is of --searcher {' and '.join(BY_EVIDENCE)}: give one "
                         "of them as well, or leave it out")
    if asked.searcher == "ask_tell" and moving:
        raise UsageError("--searcher ask_tell compares scores, and those of shared weights drift: leave it out, or "
                         "take --evaluator scratch")
    if asked.searcher in BY_GRADIENTS and (asked.strategy != "migo" or asked.schedule == "path"):
        raise UsageError(f"--searcher {asked.searcher} asks no strategy: leave out --strategy and --training path")
    if moving and asked.executor not in (None, "inline"):
        raise UsageError(f"--executor {asked.executor}: shared weights change from one evaluation to the next, so they "
                         "are scored in this process; leave it out, or take --evaluator scratch")
    if moving and asked.workers > 1:
        raise UsageError("--search-workers: shared weights are scored in one process; leave it out, or take "
                         "--evaluator scratch")
    if (asked.evaluator == "table") != (asked.evaluation_table is not None):
        raise UsageError("--evaluator table and --evaluation-table FILE go together: give both or none")
    if asked.schedule == "path" and (asked.strategy != "migo" or asked.evaluations is not None):
        raise UsageError("--training path has MIGO's own learning rates and number of evaluations: leave out "
                         "--strategy and --evaluations, or take --training fair")
