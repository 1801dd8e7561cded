"""Sharing tables: a folder or an archive with a list of them, each by its hash, its device and its errors.

    hwnas-tables.json                     the list; its own sha256 is what a person passes on
    <target>/<runtime>-<precision>-b<batch>-t<threads>.jsonl

A file that is not what the list says is refused by its name. Nothing that is there is replaced without being asked.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hwnas.documents import brief, json_value, printable
from hwnas.errors import InputError, TableError, UsageError
from hwnas.files import write_bytes
from hwnas.latency import table_file
from hwnas.latency.archives import TAR, ZIP, Reader, reader_of
from hwnas.latency.entry import now
from hwnas.latency.header import Device, as_own, runtime_name, tool_version
from hwnas.latency.hold import held
from hwnas.latency.table import Table
from hwnas.validation import Count, Name, Schema, Sha256, checked

SCHEMA, LIST = 1, "hwnas-tables.json"
LOCAL = "local"
_PART = r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,100}"
_PATH = re.compile(rf"{_PART}/{_PART}\.jsonl")
Percent = Annotated[float, Field(ge=0, le=1e9)]


class ItemSchema(Schema):
    """A table of the list."""

    file: Annotated[str, Field(pattern=rf"^{_PATH.pattern}$")]
    sha256: Sha256
    target: Name
    runtime: Name
    runtime_version: Name = ""
    precision: Name
    batch: Count
    threads: Count
    source: Name
    device: Device = Field(default_factory=dict)
    entries: Count
    created: Name = ""
    errors: Annotated[dict[Name, Percent], Field(max_length=10_000)] = Field(default_factory=dict)
    note: Name = ""


class ListSchema(Schema):
    """The keys of the list."""

    tables: Annotated[list[ItemSchema], Field(max_length=10_000)]


@dataclass(frozen=True)
class Published:
    """What was published.

    Args:
        where: the folder or archive.
        items: the tables, as the list says them.
        list_hash: sha256 of the list: who fetches with it gets these very tables or nothing.
    """

    where: Path
    items: tuple[ItemSchema, ...]
    list_hash: str


@dataclass(frozen=True)
class Fetched:
    """What became of one table: 'fetched', 'there already' or 'kept yours', and where it lies."""

    item: ItemSchema
    path: Path
    outcome: str


def publish(paths: Sequence[Path], where: Path, *, name: str | None = None, note: str = "",
            force: bool = False) -> Published:
    """Put tables into a folder, which may hold others, or into a new archive.

    Args:
        where: a folder, or a .zip.
        name: of the target in what is published, for a table of `local`, which means another machine elsewhere.
        note: on these tables, for people.
        force: replace what is there.

    Raises:
        UsageError: no tables; one of `local` without a name, or several with one; another table or an archive is there.
        TableError: a table is broken, or the list that is there is.
        InputError: the place cannot be written.
    """
    if where.suffix != ZIP[0] and str(where).endswith(TAR):
        raise UsageError(f"{where}: tables are published into a folder or a .zip; both are read as .tar.gz, too")
    if not paths or (name is not None and len(paths) > 1):
        raise UsageError(f"name the tables to publish{', one of them where it is given another name' if paths else ''}")
    made = [_prepared(Table.read(path), name, note) for path in paths]
    if len({item.file for item, _ in made}) < len(made):
        raise UsageError("two of these tables are of one target in one precision: merge them first, or publish one")
    if where.suffix == ZIP[0]:
        return _publish_zip(where, made, force)
    known = _listed(reader_of(str(where)), str(where)) if (where / LIST).exists() else ()
    for item, content in made:
        there = where / item.file
        if there.exists() and there.read_bytes() != content and not force:
            raise UsageError(f"{there} is another table of this target: --force replaces it")
    for item, content in made:
        write_bytes(where / item.file, content)
    new = tuple(item for item, _ in made)
    others = (item for item in known if item.file not in {each.file for each in new})
    items = tuple(sorted((*others, *new), key=lambda item: item.file))
    content = _list(items)
    write_bytes(where / LIST, content)
    return Published(where, new, hashlib.sha256(content).hexdigest())


def fetch(source: str, folder: Path, *, targets: Iterable[str] = (), list_hash: str | None = None,
          force: bool = False) -> list[Fetched]:
    """Copy shared tables into a folder of tables.

    All are checked before one is written.

    Args:
        source: as in `hwnas.latency.archives.reader_of`.
        targets: names of the targets that are wanted; none takes all.
        list_hash: sha256 that the list must have.
        force: replace tables that are there.

    Raises:
        InputError: the source or its list cannot be read, or is not the one of the hash.
        TableError: a file is not what the list says, or no table; names it.
        UsageError: there is no table of a target.
    """
    read = reader_of(source)
    items = _listed(read, source, list_hash)
    wanted = set(targets)
    if lacking := wanted - {item.target for item in items}:
        raise UsageError(f"{source} has no table of {', '.join(sorted(lacking))}; it has those of "
                         f"{', '.join(sorted({printable(item.target) for item in items})) or 'nobody'}")
    chosen = [item for item in items if not wanted or item.target in wanted]
    tables = [(item, _checked(read, item, source)) for item in chosen]
    return [_keep(item, table, folder, source, force) for item, table in tables]


def listed(source: str, list_hash: str | None = None) -> tuple[ItemSchema, ...]:
    """What a source has to offer; raises as `fetch`."""
    return _listed(reader_of(source), source, list_hash)


def _prepared(table: Table, name: str | None, note: str) -> tuple[ItemSchema, bytes]:
    target = name or table.target
    if target == LOCAL:
        raise UsageError(f"{table.path} is of target {LOCAL}, which is another machine elsewhere: give its device a "
                         "name with --as NAME")
    if not table.every_entry:
        raise UsageError(f"{table.path} has no entries: fill it with `hwnas profile`")
    header = as_own(table.header, target)
    copy = Table.assemble(table.path, header, table.every_entry.values(), table.every_calibration)
    content = b"".join(json.dumps(line, allow_nan=False).encode() + b"\n" for line in copy.to_lines())
    file = _file_of(copy)
    if not _PATH.fullmatch(file):
        raise UsageError(f"{brief(target)} is no name for a target that is shared: letters, digits, . _ + and -")
    runtime = header["runtime"]
    item = {
        "file": file, "sha256": hashlib.sha256(content).hexdigest(), "target": target, "runtime": runtime_name(header),
        "runtime_version": str(runtime.get("version", "")) if isinstance(runtime, dict) else "",
        **{key: header[key] for key in ("precision", "batch", "threads", "source")},
        "device": {key: value for key, value in table.device.items() if value is not None},
        "entries": len(table.every_entry), "created": str(header.get("created", "")), "errors": _errors(table),
        "note": note,
    }
    return checked(ItemSchema, item, str(table.path)), content


def _errors(table: Table) -> dict[str, float]:
    """Space fingerprint -> mean error on networks that were held out, or else left out, percent."""
    found = {}
    for space, record in table.calibration_records.items():
        error = (record.get("held_out") or {}).get("mape", record.get("loo_mape"))
        if error is not None:
            found[space] = round(float(error), 3)
    return found


def _file_of(table: Table) -> str:
    h = table.header
    return f"{table.target}/{runtime_name(h)}-{h['precision']}-b{h['batch']}-t{h['threads']}.jsonl"


def _list(items: Iterable[ItemSchema]) -> bytes:
    value = {"hwnas_tables": SCHEMA, "tool_version": tool_version(), "tables": [item.model_dump() for item in items]}
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def _publish_zip(where: Path, made: Sequence[tuple[ItemSchema, bytes]], force: bool) -> Published:
    new = tuple(item for item, _ in made)
    content, text = _list(new), io.BytesIO()
    with zipfile.ZipFile(text, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in ((LIST, content), *((item.file, data) for item, data in made)):
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)  # undated: equal for equal tables
    if where.exists() and not force and where.read_bytes() != text.getvalue():
        raise UsageError(f"{where} exists: --force replaces it, or choose another name")
    write_bytes(where, text.getvalue())
    return Published(where, new, hashlib.sha256(content).hexdigest())


def _listed(read: Reader, source: str, list_hash: str | None = None) -> tuple[ItemSchema, ...]:
    content = read(LIST)
    if content is None:
        raise InputError(f"{source} holds no {LIST}: it is made by `hwnas tables publish`")
    found = hashlib.sha256(content).hexdigest()
    if list_hash is not None and found != list_hash.lower():
        raise InputError(f"{LIST} of {source} has the sha256 {found}, not {brief(list_hash)}: it was changed on the "
                         "way, or is a later one; nothing was fetched")
    where = f"{source}: {LIST}"
    data = json_value(content, where)
    if not isinstance(data, dict) or data.get("hwnas_tables") != SCHEMA:
        raise InputError(f"{where}: not a list of tables of schema {SCHEMA} ({brief(data)})")
    items = checked(ListSchema, data, where, way_out="publish the tables anew").tables
    if len({item.file for item in items}) < len(items):
        raise InputError(f"{where}: a file is listed twice: publish the tables anew")
    return tuple(items)


def _checked(read: Reader, item: ItemSchema, source: str) -> Table:
    """Raises TableError where a file is not what the list says."""
    content = read(item.file)
    if content is None:
        raise TableError(f"{source}: {item.file} is listed and not there: nothing was fetched")
    if hashlib.sha256(content).hexdigest() != item.sha256:
        raise TableError(f"{source}: {item.file} is not the file that was published (its sha256 is another): it was "
                         "changed or damaged since; nothing was fetched")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / Path(item.file).name
        path.write_bytes(content)
        try:
            table = Table.read(path)
        except InputError as err:
            raise TableError(f"{source}: {item.file}: {str(err).replace(str(path), item.file)}") from err
    if _file_of(table) != item.file or table.target != item.target or table.target == LOCAL:
        raise TableError(f"{source}: {item.file} holds the table {brief(_file_of(table))}: nothing was fetched")
    return table


def _keep(item: ItemSchema, table: Table, folder: Path, source: str, force: bool) -> Fetched:
    path = folder / item.file
    there = Table.read(path) if path.is_file() and not force else None
    if there is not None:
        same = there.content_hash == table.content_hash and there.device == table.device
        return Fetched(item, path, "there already" if same else "kept yours")
    known = {"source": source[:1000], "sha256": item.sha256, "when": now()}
    copy = Table.assemble(path, {**table.header, "fetched": known}, table.every_entry.values(), table.every_calibration)
    hold: Callable[..., Any] = held if path.is_file() else nullcontext
    with hold(path), table_file.locked(path):
        table_file.write_whole(path, copy.to_lines())
    return Fetched(item, path, "fetched")
