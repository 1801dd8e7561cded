"""Shared tables: out and in again the same, whatever the archive; what was tampered with or is hostile is refused."""

from __future__ import annotations

import io
import json
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from hwnas.errors import InputError, TableError, UsageError
from hwnas.latency import Calibration, Entry, Table
from hwnas.latency.archives import reader_of
from hwnas.latency.sharing import LIST, fetch, listed, publish
from hwnas.target import load
from tests.mutations import damaged_bytes, documents, fuzzed, judged

BOARD = load("raspberry-pi-4")
OP = "conv k3 e1 s1 8-8 8x8 relu"
DEVICE = {"cpu": "Cortex-A72", "machine": "aarch64", "runtime": "onnxruntime", "runtime_version": "1.9"}
FILE = f"raspberry-pi-4/{BOARD.key}.jsonl"


def table(path: Path, ms: float = 1.0, target: str = "raspberry-pi-4") -> Path:
    made = Table.open(path, load(target), DEVICE)
    made.add([Entry(OP, ms, ms, ms, 8, "2026")])
    made.add_calibration("ab", Calibration("scale", 1.0, networks=50, held_out={"mape": 2.345}))
    return path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder."""
    folder = tmp_path_factory.mktemp("shared")
    publish([table(folder.parent / "mine.jsonl")], folder, note="with a fan")
    return folder


def as_zip(folder: Path, out: Path, root: str = "") -> Path:
    with zipfile.ZipFile(out, "w") as archive:
        for name in (LIST, FILE):
            archive.writestr(root + name, (folder / name).read_bytes())
    return out


def as_tar(folder: Path, out: Path) -> Path:
    with tarfile.open(out, "w:gz") as archive:
        archive.add(folder, arcname="repository-main")
    return out


@pytest.mark.parametrize("pack", [lambda folder, out: folder, lambda f, o: as_zip(f, o / "a.zip"),
                                  lambda f, o: as_zip(f, o / "b.zip", "repository-main/"),
                                  lambda f, o: as_tar(f, o / "a.tar.gz")], ids=["folder", "zip", "rooted", "tar"])
def test_out_and_in_again(shared: Path, tmp_path: Path, pack: Callable[[Path, Path], Path]) -> None:
    source = str(pack(shared, tmp_path))
    (item,) = listed(source)
    assert (item.target, item.errors, item.note, item.device["cpu"]) == (
        "raspberry-pi-4", {"ab": 2.345}, "with a fan", "Cortex-A72")
    (found,) = fetch(source, tmp_path / "tables")
    assert (found.outcome, found.path) == ("fetched", tmp_path / "tables" / FILE)
    new, old = Table.read(found.path, BOARD), Table.read(shared.parent / "mine.jsonl")
    assert (new.entries, new.calibration_records, new.device) == (old.entries, old.calibration_records, DEVICE)
    assert new.header["fetched"]["sha256"] == item.sha256
    assert fetch(source, tmp_path / "tables")[0].outcome == "there already"


def test_what_is_there_stays(shared: Path, tmp_path: Path) -> None:
    mine = table(tmp_path / FILE, 3.0)
    assert fetch(str(shared), tmp_path)[0].outcome == "kept yours"
    assert Table.read(mine).entries[OP].median_ms == 3.0
    assert fetch(str(shared), tmp_path, force=True)[0].outcome == "fetched"
    assert Table.read(mine).entries[OP].median_ms == 1.0
    with pytest.raises(UsageError, match="is another table of this target: --force"):
        publish([table(tmp_path / "other.jsonl", 4.0)], shared)
    with pytest.raises(UsageError, match="has no table of nobody; it has those of raspberry-pi-4"):
        fetch(str(shared), tmp_path, targets=["nobody"])


def test_a_folder_holds_several_and_archives_are_made_once(tmp_path: Path) -> None:
    one, two = table(tmp_path / "1.jsonl"), table(tmp_path / "2.jsonl", target="local")
    first = publish([one], tmp_path / "repo")
    with pytest.raises(UsageError, match="another machine elsewhere: give its device a name with --as"):
        publish([two], tmp_path / "repo")
    second = publish([two], tmp_path / "repo", name="my-board")
    assert [item.target for item in listed(str(tmp_path / "repo"), second.list_hash)] == ["my-board", "raspberry-pi-4"]
    with pytest.raises(InputError, match="was changed on the way"):
        listed(str(tmp_path / "repo"), first.list_hash)
    made = publish([one], tmp_path / "a.zip")
    assert publish([one], tmp_path / "a.zip").list_hash == made.list_hash
    with pytest.raises(UsageError, match="exists: --force"):
        publish([two], tmp_path / "a.zip", name="my-board")
    content = (tmp_path / "a.zip").read_bytes()
    assert publish([one], tmp_path / "a.zip", force=True) == made
    assert (tmp_path / "a.zip").read_bytes() == content, "equal tables make equal archives"
    for wrong, why in (([], "name the tables"), ([one, one], "merge them first")):
        with pytest.raises(UsageError, match=why):
            publish(wrong, tmp_path / "repo")
    with pytest.raises(UsageError, match=r"a folder or a \.zip"):
        publish([one], tmp_path / "a.tar.gz")
    with pytest.raises(UsageError, match="no name for a target"):
        publish([two], tmp_path / "repo", name="../up")


@pytest.mark.parametrize("change", ["tampered", "gone", "another", "link"])
def test_a_changed_file_is_refused_by_its_name(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "shared"
    publish([table(tmp_path / "mine.jsonl"), table(tmp_path / "p.jsonl", target="jetson-tx2")], folder)
    path, text = folder / FILE, (folder / FILE).read_text()
    path.unlink()
    if change == "tampered":
        path.write_text(text.replace("1.0,", "2.0,", 1))
    elif change == "another":
        path.write_text(text.replace("raspberry-pi-4", "raspberry-pi-5", 1))
    elif change == "link":
        outside = tmp_path / "outside.jsonl"
        outside.write_text(text)
        path.symlink_to(outside)
    with pytest.raises(InputError, match=re.escape(FILE)):
        fetch(str(folder), tmp_path / "tables")
    assert not (tmp_path / "tables").exists(), "nothing of the others either"


def test_a_list_that_lies_about_a_table_is_refused(shared: Path, tmp_path: Path) -> None:
    data = json.loads((shared / LIST).read_text())
    data["tables"][0]["file"] = f"elsewhere/{BOARD.key}.jsonl"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(LIST, json.dumps(data))
        archive.writestr(data["tables"][0]["file"], (shared / FILE).read_bytes())
    with pytest.raises(TableError, match="holds the table 'raspberry-pi-4/"):
        fetch(str(tmp_path / "a.zip"), tmp_path / "tables")


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return text.getvalue()


def info_of(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def test_hostile_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.zip"
    for name in ("../x", "/etc/x", "a/../../x", "c:x", "a\\b"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"")
        with pytest.raises(InputError, match="hostile or broken"):
            reader_of(str(path))
    link = zipfile.ZipInfo("a")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, b"/etc/passwd")
    with pytest.raises(InputError, match="a is a link"):
        reader_of(str(path))
    path = tmp_path / "a.tar.gz"
    for name, kind in (("../x", tarfile.REGTYPE), ("x", tarfile.SYMTYPE), ("x", tarfile.LNKTYPE),
                       ("x", tarfile.FIFOTYPE)):
        path.write_bytes(tar_of((info_of(name, kind), b"")))
        with pytest.raises(InputError, match=r"hostile or broken|a link or a device"):
            reader_of(str(path))
    monkeypatch.setattr("hwnas.latency.archives.MOST_UNPACKED", 1000)
    path.write_bytes(tar_of((info_of("zeros"), bytes(100_000))))
    with pytest.raises(InputError, match="unpacks to more than"):
        reader_of(str(path))
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(100_000))
    with pytest.raises(InputError, match="unpacks to more than"):
        reader_of(str(tmp_path / "z.zip"))


def test_what_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "a.7z").write_bytes(b"x")
    for source, why in ((str(tmp_path / "none.zip"), "no such file"), (str(tmp_path / "a.7z"), "ends in none of"),
                        ("git@host:a/b.git", "clone the repository"), ("ssh://host/a", "clone the repository"),
                        (str(tmp_path), "holds no hwnas-tables.json"), ("http://127.0.0.1:9/a.zip", "cannot fetch")):
        with pytest.raises((InputError, UsageError), match=why):
            listed(source)


LISTED: dict[str, Any] = {"hwnas_tables": 1, "tables": [{
    "file": FILE, "sha256": "0" * 64, "target": "raspberry-pi-4", "runtime": "onnxruntime", "precision": "fp32",
    "batch": 1, "threads": 1, "source": "measured", "device": DEVICE, "entries": 1, "errors": {"ab": 1.0}}]}


@fuzzed
@given(content=documents(LISTED))
def test_lists(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "list"
    folder.mkdir(exist_ok=True)
    (folder / LIST).write_bytes(content)
    judged(lambda: listed(str(folder)))
    judged(lambda: fetch(str(folder), folder / "tables"))


ARCHIVES = {"tar.gz": tar_of((info_of(LIST), json.dumps(LISTED).encode()), (info_of(FILE), b"{}")),
            "tar": b"", "zip": b""}
with io.BytesIO() as _text:
    with zipfile.ZipFile(_text, "w", zipfile.ZIP_DEFLATED) as _archive:
        _archive.writestr(LIST, json.dumps(LISTED))
        _archive.writestr(FILE, b"{}")
    ARCHIVES["zip"] = _text.getvalue()
with tarfile.open(fileobj=io.BytesIO(ARCHIVES["tar.gz"])) as _tar, io.BytesIO() as _text:
    with tarfile.open(fileobj=_text, mode="w") as _plain:
        for _member in _tar:
            _plain.addfile(_member, _tar.extractfile(_member))
    ARCHIVES["tar"] = _text.getvalue()


@pytest.mark.parametrize("kind", sorted(ARCHIVES))
def test_damaged_archives(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    path = tmp_path_factory.mktemp("damaged") / f"a.{kind}"

    @fuzzed
    @given(content=damaged_bytes(ARCHIVES[kind]))
    def tried(content: bytes) -> None:
        path.write_bytes(content)
        judged(lambda: fetch(str(path), path.parent / "tables"))

    tried()
