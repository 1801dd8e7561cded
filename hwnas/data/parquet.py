"""A .parquet of encoded images: a column of image files, a column of labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.data.encoded import EncodedSource
from hwnas.data.labels import as_labels, class_names
from hwnas.data.listing import files_in, folders_in
from hwnas.data.memory import allowed
from hwnas.data.names import checked_names
from hwnas.data.notes import Notes, plain
from hwnas.data.partnames import TEST, TRAIN, VAL, roles, words_in
from hwnas.data.samples import INSTALL, Samples
from hwnas.data.source import Labelled
from hwnas.data.spooled import Spooled
from hwnas.documents import json_value, open_regular
from hwnas.errors import DataError, MissingDependency

_SHARD = re.compile(r"-\d{3,6}-of-\d{3,6}")
LARGE = 1 << 30  # bytes of encoded images from which on they are not held in memory, whatever is free
_PIECE = 64  # rows that are in memory while a large table is copied
_IMAGE, _LABEL = ("jpeg", "image", "bytes", "img"), "label"


def tables_in(path: Path) -> list[Path]:
    """The .parquet files of a folder that holds no folders but `data`, there or in `data`; none where it is another."""
    folders = folders_in(path)
    if [folder.name for folder in folders] == ["data"] and not files_in(path, (".parquet",)):
        return files_in(folders[0], (".parquet",))
    return [] if folders else files_in(path, (".parquet",))


def read(path: Path) -> Samples:
    """Read a column of encoded images (`jpeg`, `image`, `bytes` or `img`; binary, or a struct with a field `bytes`)
    and the integer column `label`. Class names come from the file's metadata: `classes`, a JSON list, or the
    label names that Hugging Face writes.

    Images that are all square and of one size keep it; otherwise the rule for folders applies.

    Raises:
        MissingDependency: pyarrow is not installed.
        DataError: not a parquet file, columns that do not fit, missing labels.
    """
    return _samples(path.stem, str(path), [path], None, Notes())


def read_parts(path: Path, tables: list[Path]) -> Samples:
    """Read the tables of a folder: one, the shards of one (`x-00000-of-00002`), or some whose names say their part.

    Raises:
        MissingDependency: pyarrow is not installed.
        DataError: as `read`; several tables whose names say no part.
    """
    notes, name = Notes(), path.resolve().name
    if len(tables) == 1:
        return _samples(tables[0].stem, str(tables[0]), tables, None, notes)
    parts: dict[str, list[Path]] = {}
    for table in tables:
        parts.setdefault(words_in(table.stem) or _SHARD.sub("", table.stem), []).append(table)
    if len(parts) == 1:
        return _samples(name, str(path), tables, None, notes)
    if not set(parts) <= {TRAIN, VAL, TEST}:
        names = ", ".join(plain(table.name) for table in tables[:5])
        raise DataError(f"{path} holds {len(tables)} parquet files ({names}): pass the path of one of them")
    found = roles(parts, {part: files[0].name for part, files in parts.items()}, str(path), "the files")
    if found.unused:
        notes.left_out("tables of the test part left out", found.unused[0].name, len(found.unused))
    return _samples(name, str(path), found.train, (found.val, found.note) if found.val else None, notes)


def _samples(name: str, source: str, train: list[Path], val: tuple[list[Path], str] | None, notes: Notes) -> Samples:
    files = [*train, *(val[0] if val else [])]
    read = [_rows(file, min(allowed(), LARGE) // len(files)) for file in files]
    labels = np.concatenate([rows.labels for rows in read])
    inside = sum(len(rows.labels) for rows in read[: len(train)])
    held_out = np.arange(len(labels)) >= inside if val else None
    names = next((rows.names for rows in read if rows.names), None)
    if other := next((rows for rows in read if rows.names and rows.names != names), None):
        raise DataError(f"{other.file} names other classes than {read[0].file}: give all tables the same names")
    classes = class_names(labels, held_out, names, source)
    ends = np.cumsum([len(rows.labels) for rows in read])

    def fetch(index: int) -> tuple[str, bytes | None]:
        which = int(np.searchsorted(ends, index, "right"))
        row = index - (int(ends[which - 1]) if which else 0)
        told = f"row {row}" if len(read) == 1 else f"row {row} of {read[which].file.name}"
        return told, read[which].images(row)

    images = EncodedSource(fetch, len(labels), source, Labelled(classes, labels), exact=True)
    return Samples(name, source, labels, held_out, classes, val[1] if val else "", images, notes.told())


@dataclass(frozen=True)
class _Rows:
    """One table: encoded images by their row, their labels, and the classes that its metadata names."""

    file: Path
    images: Callable[[int], bytes | None]
    labels: npt.NDArray[np.int64]
    names: list[str] | None


def _rows(path: Path, most_bytes: int) -> _Rows:
    column, table, metadata = _table(path, most_bytes)
    labels = table.column(_LABEL)
    if labels.null_count:
        raise DataError(f"{path}: {labels.null_count} rows without a label; remove them")
    try:
        raw = labels.to_numpy()
    except (ValueError, TypeError, NotImplementedError) as err:  # Arrow's own errors are ValueErrors, too
        raise DataError(f"{path}: labels must be integers 0..K-1, not {labels.type}; number the classes first") from err
    count = len(labels)
    if column in table.column_names:
        held = table.column(column)
        images: Callable[[int], bytes | None] = lambda row: _bytes(held[row].as_py())  # noqa: E731
    else:
        images = Spooled(lambda: _streamed(path, column), count, str(path))
    return _Rows(path, images, as_labels(raw, count, f"{path}, column {_LABEL}"), _names(metadata, path))


def _bytes(value: Any) -> bytes | None:
    """Of an image as a column has it."""
    found: bytes | None = value.get("bytes") if isinstance(value, dict) else value
    return found


def _streamed(path: Path, column: str) -> Iterator[bytes | None]:
    """The images of a table in turn, few of them in memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_regular(path, DataError) as stream:
        try:
            with pq.ParquetFile(stream) as file:
                for batch in file.iter_batches(batch_size=_PIECE, columns=[column]):
                    for value in batch.column(0):
                        yield _bytes(value.as_py())
        except (pa.ArrowException, MemoryError, ValueError, TypeError) as err:
            raise _unreadable(path, err) from err


def _unreadable(path: Path, err: BaseException) -> DataError:
    return DataError(f"{path}: not a readable parquet file ({' '.join(str(err).split())[:200]}); write it again")


def _size(file: Any, column: str) -> int:
    """Bytes of a column once it is in memory, as the file tells."""
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    parts = (group.column(k) for group in groups for k in range(group.num_columns))
    return sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] == column)


def _table(path: Path, most_bytes: int) -> tuple[str, Any, dict[bytes, bytes]]:
    """The name of the column of images, a table of it and the labels, and the metadata; a column of more bytes is
    left out.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as err:
        raise MissingDependency("pyarrow", "reading .parquet", INSTALL) from err
    with open_regular(path, DataError) as stream:
        try:
            with pq.ParquetFile(stream) as file:
                schema = file.schema_arrow
                column = _image_column(schema, path)
                wanted = [_LABEL] if _size(file, column) > most_bytes else [column, _LABEL]
                return column, file.read(columns=wanted), schema.metadata or {}
        except (pa.ArrowException, OSError, MemoryError, ValueError, TypeError, UnicodeDecodeError) as err:
            raise _unreadable(path, err) from err


def _image_column(schema: Any, path: Path) -> str:
    import pyarrow as pa

    def holds_images(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            return kind.get_field_index("bytes") >= 0 and holds_images(kind.field("bytes").type)
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    there = ", ".join(f"{field.name} ({field.type})" for field in schema)
    for name in _IMAGE:
        if name in schema.names and _LABEL in schema.names and holds_images(schema.field(name).type):
            return name
    raise DataError(
        f"{path}: needs a column {', '.join(_IMAGE[:-1])} or {_IMAGE[-1]} of encoded images and an integer column "
        f"{_LABEL}; it has {there or 'none'}. Rename or convert them"
    )


def _names(metadata: dict[bytes, bytes], path: Path) -> list[str] | None:
    for key, steps in ((b"classes", ()), (b"huggingface", ("info", "features", _LABEL, "names"))):
        try:
            value: Any = json_value(metadata[key], f"{path}, its metadata", DataError)
            for step in steps:
                value = value[step]
        except (KeyError, TypeError, IndexError, DataError):  # metadata of another make is no fault of the table
            continue
        if isinstance(value, list) and value:
            return list(checked_names([str(n) if isinstance(n, int) else n for n in value], f"{path}, its metadata"))
    return None
