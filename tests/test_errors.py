"""The exception tree, its exit codes and what the messages carry."""

from __future__ import annotations

import inspect

import pytest

from hwnas import errors
from hwnas.errors import (
    BudgetInfeasible,
    DataError,
    HwnasError,
    ImageError,
    InputError,
    MissingDependency,
    MissingEntry,
    RunError,
    SomeBudgetsFailed,
    TableError,
    TrainingDiverged,
    UnknownName,
    UsageError,
    VerificationFailed,
    WorkLimitReached,
)

EXIT_CODES = {
    HwnasError: 1, UsageError: 2, UnknownName: 2, WorkLimitReached: 2, InputError: 2,
    DataError: 2, TableError: 2, MissingEntry: 2,
    ImageError: 2, RunError: 2, MissingDependency: 2, BudgetInfeasible: 3, TrainingDiverged: 1, VerificationFailed: 4,
    SomeBudgetsFailed: 1,
}
PARENTS = {
    UsageError: HwnasError, UnknownName: UsageError, WorkLimitReached: UsageError, InputError: HwnasError,
    DataError: InputError, ImageError: InputError,
    TableError: InputError, MissingEntry: TableError, RunError: InputError, MissingDependency: HwnasError,
    BudgetInfeasible: HwnasError, TrainingDiverged: HwnasError, VerificationFailed: HwnasError,
    SomeBudgetsFailed: HwnasError,
}


def test_every_error_of_the_module_is_in_the_table_with_its_exit_code() -> None:
    classes = {value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)}
    assert classes == set(EXIT_CODES)
    assert {cls: cls.exit_code for cls in classes} == EXIT_CODES


def test_the_tree_is_as_printed() -> None:
    assert {cls: cls.__base__ for cls in PARENTS} == PARENTS


def test_the_tree_printed_at_the_top_names_every_error_with_its_code() -> None:
    printed = {}
    for line in (errors.__doc__ or "").splitlines():
        words = line.replace("│", " ").replace("├──", " ").replace("└──", " ").split()
        if len(words) > 1 and words[0].isidentifier() and words[1].isdigit():
            printed[words[0]] = int(words[1])
    assert printed == {cls.__name__: code for cls, code in EXIT_CODES.items()}


def test_unknown_name_lists_what_is_known_and_suggests_the_nearest() -> None:
    err = UnknownName("space", "proxiless", ["ofa", "proxyless"], "See `hwnas spaces`.")
    assert str(err) == (
        "unknown space 'proxiless'. Did you mean 'proxyless'? Known: ofa, proxyless. See `hwnas spaces`."
    )
    assert (err.kind, err.name, err.known) == ("space", "proxiless", ["ofa", "proxyless"])


def test_some_budgets_failed_says_which_and_ends_with_the_code_of_theirs() -> None:
    err = SomeBudgetsFailed.of({"latency 1us": "over the least", "latency 8ms": "too slow"}, 3, 4)
    assert str(err) == ("2 of 3 budgets have no network; the others are not touched by that. "
                        "latency 1us: over the least; latency 8ms: too slow")
    assert (err.exit_code, list(err.failed)) == (4, ["latency 1us", "latency 8ms"])
    assert str(SomeBudgetsFailed.of({"latency 1us": "x", "latency 2us": "y"}, 2, 3)).startswith(
        "2 of 2 budgets have no network. latency 1us: x")


def test_unknown_name_suggests_nothing_far_fetched() -> None:
    assert str(UnknownName("space", "qqq", {"ofa": 1})) == "unknown space 'qqq'. Known: ofa."
    assert "Known: none." in str(UnknownName("table", "x", []))


@pytest.mark.parametrize(("others", "more"), [(0, ""), (3, " (and 3 more)")])
def test_missing_entry_says_which_where_and_what_to_do(others: int, more: str) -> None:
    err = MissingEntry("a", "b", "do c", others)
    assert str(err) == f"no entry for a{more} on b: do c"
    assert (err.signature, err.target) == ("a", "b")


def test_missing_dependency_says_what_to_install() -> None:
    err = MissingDependency("torch", "training", "pip install x")
    assert str(err) == "training needs torch, which is not installed: pip install x"
    assert err.library == "torch"


def test_infeasible_carries_copies_of_the_costs() -> None:
    least, budgets = {"latency_ms": 2.0}, {"latency_ms": 1.0}
    err = BudgetInfeasible("too tight", least, budgets)
    least["latency_ms"] = budgets["latency_ms"] = 0.0
    assert (err.least, err.budgets) == ({"latency_ms": 2.0}, {"latency_ms": 1.0})
