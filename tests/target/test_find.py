"""Targets by alias, in the user's own folder, and by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwnas import target
from hwnas.errors import InputError, UnknownName


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "targets"
    folder.mkdir()
    monkeypatch.setenv("HWNAS_TARGETS", str(folder))
    return folder


def test_an_alias_finds_its_target_and_is_no_name() -> None:
    assert target.load("jetson") == target.load("jetson-orin-nano")
    assert target.load("jetson", precision="int8").precision == "int8"
    assert target.alias_of("jetson") == "jetson-orin-nano"
    assert target.alias_of("nothing") is None
    assert "jetson" not in target.names()
    assert target.locate("jetson").name == "jetson-orin-nano.yaml"


def test_no_two_targets_that_ship_share_a_name_or_an_alias() -> None:
    said = [word for name in target.names() for word in (name, *target.load(name).aliases)]
    assert len(said) == len(set(said))


def test_the_users_folder_stands_beside_what_ships_and_wins(mine: Path) -> None:
    shipped = target.names()
    (mine / "board.yaml").write_text("name: board\nthreads: 3\naliases: [brett]\n", encoding="utf-8")
    assert target.names() == sorted([*shipped, "board"])
    assert target.load("board").threads == target.load("brett").threads == 3
    (mine / "local.yaml").write_text("name: local\nthreads: 7\n", encoding="utf-8")
    assert target.load("local").threads == 7
    assert target.locate("local") == mine / "local.yaml"


def test_where_the_users_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWNAS_TARGETS", str(tmp_path / "a"))
    assert target.user_folder() == tmp_path / "a"
    monkeypatch.delenv("HWNAS_TARGETS")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "b"))
    assert target.user_folder() == tmp_path / "b" / "hwnas" / "targets"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert target.user_folder() == tmp_path / ".config" / "hwnas" / "targets"


def test_a_broken_file_of_the_users_is_named_when_asked_for_and_in_nobodys_way(mine: Path) -> None:
    (mine / "broken.yaml").write_text("name: [", encoding="utf-8")
    assert target.load("jetson").name == "jetson-orin-nano"
    with pytest.raises(InputError, match=r"broken\.yaml is not valid YAML"):
        target.load("broken")
    with pytest.raises(UnknownName):
        target.load("nowhere")


def test_a_file_of_the_folder_is_called_as_its_target(mine: Path) -> None:
    (mine / "one.yaml").write_text("name: two\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"one\.yaml: name: .*got 'two': rename the file to two\.yaml"):
        target.load("one")


def test_an_unknown_name_is_told_where_to_put_a_file(mine: Path) -> None:
    with pytest.raises(UnknownName, match=rf"Did you mean 'jetson-nano'.*put yours into {mine}"):
        target.load("jetson-nanoo")
