"""Targets by name and by file, overrides, and what is wrong with a file that is not one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from hwnas import target
from hwnas.errors import InputError, UnknownName
from hwnas.target import Target


def write(folder: Path, text: str | bytes) -> str:
    path = folder / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_every_target_that_ships_loads_under_its_own_name() -> None:
    assert "local" in target.names()
    assert target.names() == sorted(target.names())
    for name in target.names():
        assert target.load(name).name == name
        assert target.load(name).description


def test_local_is_one_image_on_one_thread() -> None:
    local = target.load("local")
    assert (local.runtime, local.precision, local.batch, local.threads) == ("onnxruntime", "fp32", 1, 1)
    assert local.key == "onnxruntime-fp32-b1-t1"
    assert str(local) == "local/onnxruntime-fp32-b1-t1"


def test_overrides_replace_and_none_leaves() -> None:
    changed = target.load("local", batch=8, threads=None)
    assert changed == target.load("local").model_copy(update={"batch": 8})
    assert changed.key == "onnxruntime-fp32-b8-t1"


def test_a_target_is_frozen() -> None:
    local = target.load("local")
    with pytest.raises(ValidationError):
        local.threads = 4  # type: ignore[misc]


def test_a_yaml_file_of_the_users(tmp_path: Path) -> None:
    path = write(tmp_path, "name: my-board\nthreads: 4\n")
    assert target.load(path) == Target(name="my-board", threads=4)
    assert target.load(path, threads=2).threads == 2
    (tmp_path / "mine.yaml").rename(tmp_path / "mine.yml")
    assert target.load(str(tmp_path / "mine.yml")).name == "my-board"


def test_a_target_survives_being_written_as_yaml(tmp_path: Path) -> None:
    mine = Target(name="a.b_c-1", description="ü: x", batch=3, threads=2)
    assert target.load(write(tmp_path, yaml.safe_dump(mine.model_dump()))) == mine


@pytest.mark.parametrize("name", ["lokal", "locall", "Local"])
def test_a_near_miss_is_told_the_name(name: str) -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'local'\?.*\.yaml file"):
        target.load(name)


@pytest.mark.parametrize("name", ["", "absent.yaml", "../targets/nothing", "a\0b"])
def test_names_that_are_no_files(name: str) -> None:
    with pytest.raises(UnknownName, match=r"Known: .*local"):
        target.load(name)


def test_a_name_longer_than_a_file_name_can_be() -> None:
    with pytest.raises(UnknownName):
        target.load("x" * 5000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a target file"),
        ("- a\n- b\n", "not a target file"),
        ("just words", "not a target file"),
        ("name: [", "not valid YAML"),
        (b"name: \xff\xfe", "not UTF-8"),
        ("threads: 1\n", "name: .*required"),
        ("name: x\ncolour: red\n", "colour: .*not 'red'"),
        ("name: x\nthreads: 0\n", "threads: .*not 0"),
        ("name: x\nthreads: 257\n", "threads: .*not 257"),
        ("name: x\nbatch: many\n", "batch: .*not 'many'"),
        ("name: x\nbatch: 1025\n", "batch: .*not 1025"),
        ("name: x\nprecision: int4\n", "precision: .*not 'int4'"),
        ("name: x\nruntime: tensorflow\n", "runtime: .*not 'tensorflow'"),
        ("name: Big Box\n", "name: .*not 'Big Box'"),
        ("name: ../up\n", "name: .*"),
        ("name: 7\n", "name: .*not 7"),
        ("name: x\n1: 2\n", "1: "),
    ],
)
def test_a_bad_file_is_named_with_field_and_value(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"(?s)mine\.yaml.*{message}"):
        target.load(write(tmp_path, text))


def test_overrides_are_checked_too() -> None:
    with pytest.raises(InputError, match="threads"):
        target.load("local", threads=0)
    with pytest.raises(InputError, match="colour"):
        target.load("local", colour="red")


def test_data_folders_exist_and_come_from_the_checkout_or_the_wheel() -> None:
    folder = target.data_folder("targets")
    assert (folder / "local.yaml").is_file()
    assert folder.name == "targets"
