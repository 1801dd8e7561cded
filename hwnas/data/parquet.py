"""A .parquet of encoded images: a column of image files, a column of labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.data.decode import common_size, decode_all
from hwnas.data.labels import as_labels, class_names
from hwnas.data.pixels import check_imgsz
from hwnas.data.samples import INSTALL, Samples
from hwnas.errors import DataError, MissingDependency
from hwnas.progress import Progress

_IMAGE, _LABEL = ("jpeg", "image", "bytes", "img"), "label"


def read(path: Path) -> Samples:
    """Read a column of encoded images (`jpeg`, `image`, `bytes` or `img`; binary, or a struct with a field `bytes`)
    and the integer column `label`. Class names come from the file's metadata: `classes`, a JSON list, or the
    label names that Hugging Face writes.

    Images that are all square and of one size keep it; otherwise the rule for folders applies.

    Raises:
        MissingDependency: pyarrow is not installed.
        DataError: not a parquet file, columns that do not fit, missing labels.
    """
    source = str(path)
    column, table, metadata = _table(path)
    images, labels_column = table.column(column), table.column(_LABEL)
    if labels_column.null_count:
        raise DataError(f"{source}: {labels_column.null_count} rows without a label; remove them")
    labels = as_labels(labels_column.to_numpy(), len(images), f"{source}, column {_LABEL}")
    classes = class_names(labels, None, _names(metadata), source)

    def fetch(index: int) -> tuple[str, bytes | None]:
        value = images[index].as_py()
        return f"row {index}", value.get("bytes") if isinstance(value, dict) else value

    def pixels(indices: npt.NDArray[np.int64], imgsz: int | None, progress: Progress) -> npt.NDArray[np.uint8]:
        side = check_imgsz(imgsz or common_size(fetch, len(images), exact=True), source)
        return decode_all(fetch, indices, side, progress, source)

    return Samples(path.stem, source, labels, None, classes, "", pixels)


def _table(path: Path) -> tuple[str, Any, dict[bytes, bytes]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as err:
        raise MissingDependency("pyarrow", "reading .parquet", INSTALL) from err
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            column = _image_column(schema, path)
            return column, file.read(columns=[column, _LABEL]), schema.metadata or {}
    except (pa.ArrowException, OSError, MemoryError) as err:
        raise DataError(f"{path}: not a readable parquet file ({' '.join(str(err).split())}); write it again") from err


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


def _names(metadata: dict[bytes, bytes]) -> list[str] | None:
    for key, steps in ((b"classes", ()), (b"huggingface", ("info", "features", _LABEL, "names"))):
        try:
            value: Any = json.loads(metadata[key])
            for step in steps:
                value = value[step]
        except (KeyError, TypeError, ValueError):
            continue
        if isinstance(value, list) and value:
            return [str(name) for name in value]
    return None
