"""search.jsonl: every line an evaluation, a torn last one ignored, a broken one named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwnas.errors import InputError, RunError
from hwnas.search.log import LONGEST_REASON, Evaluation, Failure, SearchLog


def entry(number: int, phase: str = "train") -> Evaluation:
    return Evaluation(phase, number, (number, 2, 0), 50.0 + number / 3, 0.25)


def filled(path: Path) -> SearchLog:
    log = SearchLog(path)
    for number in range(3):
        log.append(entry(number))
    for number in range(2):
        log.append(entry(number, "settle"))
    return log


def test_what_was_appended_is_read_back_exactly(tmp_path: Path) -> None:
    log = filled(tmp_path / "search.jsonl")
    again = SearchLog(tmp_path / "search.jsonl")
    assert again.entries == log.entries
    assert again.of("train") == [entry(n) for n in range(3)]
    assert again.of("settle") == [entry(n, "settle") for n in range(2)]
    assert again.of("other") == []


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert SearchLog(tmp_path / "search.jsonl").entries == []
    assert not (tmp_path / "search.jsonl").exists()


def test_a_torn_last_line_is_ignored_and_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "search.jsonl"
    filled(path)
    with path.open("ab") as file:
        file.write(b'{"phase": "settle", "numb')
    log = SearchLog(path)
    assert len(log.entries) == 5
    log.append(entry(2, "settle"))
    assert SearchLog(path).of("settle")[-1] == entry(2, "settle")
    assert len(path.read_text().splitlines()) == 6


@pytest.mark.parametrize("line", ["3", "[]", "{}", '{"phase": "train"}', '"text"', "null",
                                  '{"phase": "train", "number": 0, "choice": 3, "score": 1, "seconds": 1}',
                                  '{"phase": "train", "number": 0, "choice": [1], "score": 1, "seconds": 1, "x": 1}'])
def test_a_line_that_is_no_evaluation_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "search.jsonl"
    filled(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, *lines[2:]]) + "\n")
    with pytest.raises(RunError, match=r"search\.jsonl, line 2 is not an evaluation.*delete that line"):
        SearchLog(path)


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "search.jsonl"
    path.write_text("{nope\n3\n")
    with pytest.raises(InputError, match=r"search\.jsonl, line 1"):
        SearchLog(path)


@pytest.mark.parametrize(("count", "left"), [(0, 0), (1, 1), (3, 3), (9, 3)])
def test_keep_drops_only_later_entries_of_that_phase(tmp_path: Path, count: int, left: int) -> None:
    log = filled(tmp_path / "search.jsonl")
    log.keep("train", count)
    for seen in (log, SearchLog(tmp_path / "search.jsonl")):
        assert seen.of("train") == [entry(n) for n in range(left)]
        assert len(seen.of("settle")) == 2


def test_keep_without_a_file_writes_none(tmp_path: Path) -> None:
    SearchLog(tmp_path / "search.jsonl").keep("train", 0)
    assert not (tmp_path / "search.jsonl").exists()


def test_failures_stand_in_the_log_and_are_no_entries(tmp_path: Path) -> None:
    path = tmp_path / "search.jsonl"
    log = SearchLog(path)
    for number in range(5):
        without = Failure("alone", number, (number, 1), f"killed\nby {number}")
        log.append(without if number % 2 else entry(number, "alone"))
    again = SearchLog(path)
    assert [e.number for e in again.entries] == [0, 2, 4]
    assert again.failures == [Failure("alone", n, (n, 1), f"killed by {n}") for n in (1, 3)]
    assert [line.number for line in again.lines] == [0, 1, 2, 3, 4]
    again.keep("alone", 3)
    assert [line.number for line in SearchLog(path).lines] == [0, 1, 2]
    assert json.loads(path.read_text().splitlines()[1]) == {"phase": "alone", "number": 1, "choice": [1, 1],
                                                            "failed": "killed by 1"}


def test_a_reason_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "search.jsonl"
    SearchLog(path).append(Failure("alone", 0, (1,), "x" * 10_000))
    assert len(SearchLog(path).failures[0].failed) == LONGEST_REASON
    path.write_text(path.read_text().replace("xxx", "x" * 500))
    with pytest.raises(RunError, match="line 1 is not an evaluation"):
        SearchLog(path)


def test_every_line_is_plain_json(tmp_path: Path) -> None:
    filled(tmp_path / "search.jsonl")
    first = json.loads((tmp_path / "search.jsonl").read_text().splitlines()[0])
    assert first == {"phase": "train", "number": 0, "choice": [0, 2, 0], "score": 50.0, "seconds": 0.25}
