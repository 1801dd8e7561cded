"""Whatever a table of labels holds: it loads, or ends in one line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.data.multilabel import load_multilabel
from tests.data.pairs_of_digits import written
from tests.data.test_hostile import TEXTS, fuzz, loads_or_one_line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("pairs") / "x", 8)


@given(st.data())
@fuzz
def test_cells_of_anything(folder: Path, data: st.DataObject) -> None:
    table = [["file", "labels", "split"], *([f"{i}.png", "1;2" if i % 2 else "3", "train" if i < 6 else "val"]
                                            for i in range(8))]
    for _ in range(data.draw(st.integers(1, 3))):
        row = data.draw(st.sampled_from(table))
        row[data.draw(st.integers(0, len(row) - 1))] = data.draw(TEXTS)
    text = io.StringIO()
    csv.writer(text).writerows(table)
    (folder / "labels.csv").write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    loads_or_one_line(lambda: load_multilabel(folder, size=(32, 32)))


@given(st.binary(max_size=300))
@fuzz
def test_bytes_of_anything(folder: Path, content: bytes) -> None:
    for name in ("labels.csv", "labels.parquet"):
        (folder / name).write_bytes(content)
        loads_or_one_line(lambda name=name: load_multilabel(folder / name, size=(32, 32)))  # type: ignore[misc]
        (folder / name).unlink()


@given(st.lists(TEXTS, max_size=5))
@fuzz
def test_headers_of_anything(folder: Path, header: list[str]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([header, ["0.png", "1", "0", "1"], ["1.png", "0", "1", "1"]])
    (folder / "labels.csv").write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    loads_or_one_line(lambda: load_multilabel(folder, size=(32, 32)))
