"""One table of part names, and who validates."""

from __future__ import annotations

import pytest

from hwnas.data.partnames import part_of, parts_among, roles, words_in
from hwnas.errors import DataError


@pytest.mark.parametrize(("names", "part"), [
    (("train", "Train", "TRAINING", "train2017", "training_set", "trainset", "train-images", "trn", "train 2"),
     "train"),
    (("val", "valid", "Validation", "val2014", "VAL_2017", "validation_data", "valset"), "val"),
    (("test", "Testing", "test2017", "test_set", "tst"), "test"),
    (("trainer", "trains", "training wheels", "value", "testosterone", "contest", "a train", "x", "", "2017", "train_L",
      "train-12345", "evaluation", "dev", "trainval"), None),
])
def test_the_table(names: tuple[str, ...], part: str | None) -> None:
    assert {part_of(name) for name in names} == {part}


@pytest.mark.parametrize(("names", "parts"), [
    (["train", "cat"], {"train": "train"}), (["dev", "ops"], {}), (["train", "dev"], {"train": "train", "dev": "val"}),
    (["trainval", "test"], {"test": "test", "trainval": "train"}),
    (["train", "val", "trainval", "test"], {"train": "train", "val": "val", "test": "test"}),
    (["seg_train", "seg_test", "seg_pred"], {"seg_train": "train", "seg_test": "test"}),
    (["crash test", "test tube", "train car"], {}), (["my_train"], {}),
])
def test_parts_among_names(names: list[str], parts: dict[str, str]) -> None:
    assert parts_among(names) == parts


@pytest.mark.parametrize("names", [["train", "training"], ["val", "valid", "train"], ["Train", "train"]])
def test_two_names_for_a_part_are_refused(names: list[str]) -> None:
    with pytest.raises(DataError, match="both look like the part"):
        parts_among(names)


@pytest.mark.parametrize(("stem", "part"), [
    ("instances_train2017", "train"), ("_annotations.valid", "val"), ("val_annotations", "val"),
    ("train-00000-of-00004", "train"), ("train_10k", "train"), ("captions", None), ("train_val", None),
])
def test_words_in_the_stem_of_a_file(stem: str, part: str | None) -> None:
    assert words_in(stem) == part


def test_who_validates() -> None:
    names = {"train": "Train", "val": "Dev", "test": "Test"}
    every = roles({"train": 1, "val": 2, "test": 3}, names, "here", "the folders")
    assert (every.train, every.val, every.unused, every.note) == (1, 2, 3, "as the folders Train and Dev say")
    spare = roles({"train": 1, "test": 3}, names, "here", "the folders")
    assert (spare.train, spare.val, spare.unused) == (1, 3, None)
    assert "Test validates" in spare.note
    alone = roles({"train": 1}, names, "here", "the folders")
    assert (alone.train, alone.val, alone.note) == (1, None, "")
    with pytest.raises(DataError, match="here: among the folders 'Dev' and 'Test' none is for training"):
        roles({"val": 2, "test": 3}, names, "here", "the folders")
