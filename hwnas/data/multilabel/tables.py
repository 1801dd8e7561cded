"""Tables that name the labels of images: a .csv beside the images, a .parquet that holds them.

| labels          | written as                                                              |
|-----------------|-------------------------------------------------------------------------|
| a column of names | `labels`: `cat;dog`, also with , or | or spaces between; in a .parquet a list |
| a column a class  | 0 or 1 each, every column but that of the image and that of the part      |

A column `split` with train, val or test says which part an image is of; or the names of two tables do.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwnas.data.inside import Finder, parts_inside
from hwnas.data.listing import files_in
from hwnas.data.multilabel.listed import IMAGE, Columns, Listed, Picture
from hwnas.data.notes import Notes
from hwnas.data.partnames import TEST, TRAIN, VAL, words_in
from hwnas.data.samples import INSTALL
from hwnas.documents import brief, open_regular, read_text
from hwnas.errors import DataError, MissingDependency

SUFFIXES = (".csv", ".parquet")
PIXELS = ("image", "jpeg", "bytes", "img")
_FOLDERS = ("images", "train", "val")


def tables_of(path: Path) -> list[Path]:
    """The table itself, or those of a folder: one, or some whose names say their part."""
    if path.is_file():
        return [path] if path.suffix.lower() in SUFFIXES else []
    found = [file for suffix in SUFFIXES for file in files_in(path, (suffix,))]
    return found if len(found) == 1 else [file for file in found if words_in(file.stem) in (TRAIN, VAL, TEST)]


def read(path: Path, tables: Sequence[Path]) -> Listed:
    """List the images of tables.

    Raises:
        DataError: a column is missing, a row cannot be understood, or images are not there.
        MissingDependency: pyarrow is not installed.
    """
    notes, pictures, classes = Notes(), list[Picture](), list[str]()
    for table in tables:
        part = words_in(table.stem) if len(tables) > 1 else None
        if part == TEST:
            notes.left_out("tables of the test part left out", table.name)
            continue
        rows, names = (_csv if table.suffix.lower() == ".csv" else _parquet)(table, notes)
        classes += [name for name in names if name not in classes]
        pictures += [row if part is None else Picture(row.name, row.content, row.labels, part == VAL) for row in rows]
    if len({picture.held_out is None for picture in pictures}) > 1:
        raise DataError(f"{path}: some tables say which part an image is of, others do not: say it in all")
    split = "as the table says" if pictures and pictures[0].held_out is not None else ""
    return Listed(path.stem, str(path), tuple(pictures), tuple(classes) or None, split, notes)


def _csv(path: Path, notes: Notes) -> tuple[list[Picture], tuple[str, ...]]:
    rows = csv.DictReader(io.StringIO(read_text(path, 1 << 30, DataError).lstrip("\ufeff")), restkey="", restval="")
    header = [name.strip() for name in rows.fieldnames or ()]
    image = next((name for name in IMAGE if name in header), header[0] if header else "")
    columns, finder, found, absent = Columns.among(header, image, str(path)), Finder(), list[Picture](), list[str]()
    root = path.parent
    folders = [root, *(folder for name in _FOLDERS if (folder := root / name).is_dir())]
    for number, raw in enumerate(rows, 2):
        where, row = f"{path.name}: line {number}", {str(key).strip(): value for key, value in raw.items()}
        held = columns.held_out(row, where)
        if held == TEST:
            notes.left_out("images of the test part left out", brief(row[image]))
            continue
        file = finder.find(folders, parts_inside(row[image], root, root, where), any_suffix=True)
        if file is None:
            absent.append(f"{where}: {brief(row[image])}")
            continue
        found.append(Picture(row[image], file, columns.of(row, where), None if held is None else bool(held)))
    if absent and len(absent) * 2 >= len(absent) + len(found):
        raise DataError(f"{path}: {len(absent)} of {len(absent) + len(found)} images are not there, like {absent[0]}: "
                        "put them beside the table or in images/")
    for name in absent:
        notes.left_out("images that are not there left out", name)
    return found, columns.classes


def _parquet(path: Path, notes: Notes) -> tuple[list[Picture], tuple[str, ...]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as err:
        raise MissingDependency("pyarrow", "reading .parquet", INSTALL) from err
    with open_regular(path, DataError) as stream:
        try:
            table: Any = pq.read_table(stream)
        except (pa.ArrowException, OSError, ValueError) as err:
            reason = " ".join(str(err).split())[:200]
            raise DataError(f"{path}: not a readable parquet file ({reason}); write it again") from err
    image = next((name for name in PIXELS if name in table.column_names), None)
    if image is None:
        raise DataError(f"{path}: needs a column {', '.join(PIXELS[:-1])} or {PIXELS[-1]} of encoded images; it has "
                        f"{', '.join(map(brief, table.column_names[:5]))}")
    columns = Columns.among(table.column_names, image, str(path))
    found = []
    for number, row in enumerate(table.to_pylist()):
        where = f"{path.name}: row {number}"
        held = columns.held_out(row, where)
        if held == TEST:
            notes.left_out("images of the test part left out", where)
            continue
        content = row[image].get("bytes") if isinstance(row[image], dict) else row[image]
        found.append(Picture(f"row {number}", content, columns.of(row, where), None if held is None else bool(held)))
    return found, columns.classes
