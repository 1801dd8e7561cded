"""Budgets as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import UsageError
from hwnas.pipeline import parse, parse_all, show
from hwnas.pipeline.config.budget import (
    MOST_NETWORKS,
    UNITS,
    Asked,
    folder_names,
    in_words,
    kind_of,
    parse_lists,
    told_of,
)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("latency", "8ms", 8e6), ("latency", "8 ms", 8e6), ("latency", "750us", 7.5e5), ("latency", "0.5s", 5e8),
        ("flops", "300M", 3e8), ("flops", "1.2G", 1.2e9), ("flops", "5000", 5000), ("flops", "3e6", 3e6),
        ("params", "2M", 2e6), ("params", "900k", 9e5), ("memory", "64MB", 64e6), ("memory", "64MiB", 64 * 2**20),
        ("throughput", "200/s", 5e6), ("throughput", "200 images/s", 5e6), ("throughput", "0.5fps", 2e9),
        ("latency_p99", "10ms", 1e7), ("energy", "5mJ", 5e3), ("energy", "0.2J", 2e5), ("peak_memory", "1MiB", 2**20),
        ("file_size", "300KB", 3e5),
    ],
)
def test_absolute(name: str, text: str, value: float) -> None:
    budget = parse(name, text)
    assert not budget.relative
    assert budget.absolute(reference=1.0) == pytest.approx(value)


@given(st.floats(0.01, 500), st.floats(1, 1e12))
def test_percentage_is_of_the_reference(percent: float, reference: float) -> None:
    budget = parse("flops", f"{percent:.4f}%")
    assert budget.relative
    assert budget.absolute(reference) == pytest.approx(round(percent, 4) / 100 * reference)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("latency", "8"), ("latency", "8MB"), ("latency", "ms"), ("latency", "-8ms"), ("latency", "0ms"),
        ("latency", "8m s"), ("latency", "nanms"), ("latency", "inf ms"), ("flops", "300MB"), ("params", "two"),
        ("memory", "64"), ("memory", ""), ("memory", "1e"), ("latency", "50%%"),
        ("throughput", "200ms"), ("throughput", "200"), ("throughput", "-3/s"), ("throughput", "0/s"),
        ("energy", "5W"), ("energy", "5"), ("peak_memory", "64ms"), ("file_size", "2M"), ("latency_p99", "10/s"),
    ],
)
def test_wrong_units_name_the_way_out(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=rf"--{name.replace('_', '-')}"):
        parse(name, text)


def test_unknown_budget() -> None:
    with pytest.raises(UsageError, match="known: latency"):
        parse("joy", "3mJ")


def test_parse_all_leaves_out_none() -> None:
    assert set(parse_all({"latency": "5ms", "flops": None})) == {"latency"}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("latency", 1.5e6, "1.500 ms"), ("memory", 2.5e6, "2.50 MB"), ("flops", 3e8, "300.00 M"), ("params", 512, "512")],
)
def test_show(name: str, value: float, text: str) -> None:
    assert show(name, value) == text


def test_a_list_asks_for_a_network_each_and_a_single_value_holds_for_all() -> None:
    found = parse_lists({"latency": "4ms, 8ms,25%", "flops": "300M"})
    assert [in_words(asked.wanted) for asked in found] == ["latency 4ms, flops 300M", "latency 8ms, flops 300M",
                                                            "latency 25%, flops 300M"]
    assert [asked.wanted["latency"].value for asked in found] == [4e6, 8e6, 0.25]
    assert len(parse_lists({"latency": "50%"})) == 1
    assert parse_lists({}) == (Asked("", {}),)


def test_lists_are_taken_side_by_side() -> None:
    found = parse_lists({"latency": "4ms,8ms", "params": "1M,2M"})
    assert [(w["latency"].value, w["params"].value) for _, w in found] == [(4e6, 1e6), (8e6, 2e6)]


def test_targets_are_a_list_beside_those_of_budgets() -> None:
    found = parse_lists({"latency": "4ms,8ms", "flops": "1M"}, ["a", "b"])
    assert [(asked.target, in_words(asked.wanted)) for asked in found] == [
        ("a", "latency 4ms, flops 1M"), ("b", "latency 8ms, flops 1M")]
    assert [asked.target for asked in parse_lists({"latency": "50%"}, ["a", "b", "c"])] == ["a", "b", "c"]
    assert [asked.target for asked in parse_lists({"latency": "25%,50%"}, ["a"])] == ["a", "a"]
    assert told_of(found) == ("a, latency 4ms, flops 1M", "b, latency 8ms, flops 1M")
    assert told_of(parse_lists({"latency": "25%,50%"}, ["a"])) == ("latency 25%", "latency 50%")


@pytest.mark.parametrize(("latency", "targets", "why"), [
    ("4ms,8ms", ["a", "b", "c"], r"one length \(--latency 2, --target 3\)"),
    ("50%", ["a", "b", "a"], "--target: a is there twice with the same budget"),
    ("50%", [str(i) for i in range(MOST_NETWORKS + 1)], f"{MOST_NETWORKS + 1} targets: one run makes at most"),
])
def test_wrong_lists_of_targets_name_the_way_out(latency: str, targets: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_lists({"latency": latency}, targets)


def test_one_target_may_be_there_with_several_budgets() -> None:
    found = parse_lists({"latency": "25%,50%,50%"}, ["a", "a", "b"])
    assert kind_of(found) == "targets"
    assert folder_names(found) == ("a-latency-25pct", "a-latency-50pct", "b-latency-50pct")


def test_folders_of_targets_are_named_after_them_and_never_one_for_two() -> None:
    assert folder_names(parse_lists({"latency": "4ms,8ms"}, ["jetson-nano", "my boards/b 1.yaml"])) == (
        "jetson-nano", "b-1")
    names = folder_names(parse_lists({"latency": "50%"}, ["x/board.yaml", "y/Board.yaml", "local"]))
    assert len({name.lower() for name in names}) == 3


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ({"latency": "4ms,8ms", "flops": "1M,2M,3M"}, r"one length \(--latency 2, --flops 3\)"),
        ({"latency": "4ms,4000us"}, "latency 4ms and latency 4000us are the same budget"),
        ({"latency": "4ms,8ms,8ms", "flops": "1M,2M,2M"}, "latency 8ms, flops 2M and latency 8ms, flops 2M"),
        ({"latency": "4ms,"}, "a number and a unit"), ({"latency": "4,5ms"}, "a number and a unit"),
        ({"latency": "4ms;8ms"}, "a number and a unit"), ({"flops": "1M,0"}, "above zero"),
        ({"params": ",".join(str(i + 1) for i in range(MOST_NETWORKS + 1))}, f"at most {MOST_NETWORKS} networks"),
    ],
)
def test_wrong_lists_name_the_way_out(texts: dict[str, str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_lists(texts)


def test_the_same_budget_with_another_beside_it_is_another_network() -> None:
    assert len(parse_lists({"latency": "4ms,4ms", "flops": "1M,2M"})) == 2
    assert len(parse_lists({"latency": "50%,50ms"})) == 2


def test_one_budget_refuses_a_list_and_says_who_takes_it() -> None:
    with pytest.raises(UsageError, match="one budget is needed here; `hwnas compress` takes several"):
        parse("latency", "4ms,8ms")


def test_folders_are_named_after_what_differs() -> None:
    assert folder_names(parse_lists({"latency": "4 ms,50%", "flops": "300M"})) == ("latency-4ms", "latency-50pct")
    assert folder_names(parse_lists({"latency": "4ms,4ms", "flops": "3e5,2M"})) == ("flops-3e5", "flops-2M")
    assert folder_names(parse_lists({"latency": "4ms,8ms", "memory": "1MB,1MiB"})) == (
        "latency-4ms-memory-1MB", "latency-8ms-memory-1MiB")


AMOUNTS = st.tuples(st.floats(1e-3, 1e3), st.sampled_from(["us", "ms", "%", " s"])).map(lambda p: f"{p[0]:.3g}{p[1]}")


def meant(text: str) -> tuple[float, bool]:
    budget = parse("latency", text)
    return budget.value, budget.relative


@given(st.lists(AMOUNTS, min_size=2, max_size=8, unique_by=meant))
def test_every_folder_has_a_name_of_its_own_that_any_disk_takes(parts: list[str]) -> None:
    names = folder_names(parse_lists({"latency": ",".join(parts)}))
    assert len({name.lower() for name in names}) == len(parts)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-+") for name in names)


def test_every_axis_takes_lists() -> None:
    for name, unit in zip(UNITS, ("ms", "M", "M", "MB", "/s", "ms", "mJ", "MB", "MB"), strict=True):
        assert [asked.wanted[name].value for asked in parse_lists({name: f"1{unit},2{unit}"})] == [
            parse(name, f"1{unit}").value, parse(name, f"2{unit}").value]


@given(st.floats(1, 1e4), st.floats(1, 1e9))
def test_more_images_a_second_are_less_time(percent: float, reference: float) -> None:
    """150 % of the reference's images a second leave two thirds of its time."""
    budget = parse("throughput", f"{percent:.4f}%")
    assert budget.relative
    assert budget.absolute(reference) == pytest.approx(reference / (round(percent, 4) / 100))


def test_a_99th_percentile_below_the_median_is_refused() -> None:
    with pytest.raises(UsageError, match="never below the median"):
        parse_all({"latency": "10ms", "latency_p99": "8ms"})
    with pytest.raises(UsageError, match="never below the median"):
        parse_lists({"latency": "10ms", "latency_p99": "20ms,8ms"})
    assert len(parse_all({"latency": "50%", "latency_p99": "8ms"})) == 2  # of what, nothing tells yet


def test_folders_of_what_is_no_file_name() -> None:
    networks = parse_lists({"throughput": "100/s,200/s", "peak_memory": "8MB"})
    assert folder_names(networks) == ("throughput-100-per-s", "throughput-200-per-s")
    assert in_words(networks[0].wanted) == "throughput 100/s, peak memory 8MB"
