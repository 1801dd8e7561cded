"""What COCO's JSON must hold, checked by pydantic while it is parsed: keys that no reader needs are never built."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from hwnas.documents import MIB, read_bytes, text_of
from hwnas.errors import DataError
from hwnas.validation import fault

LARGEST_BYTES = 4096 * MIB
MOST_SIDE = 1_000_000  # px
_FORM = ("an object with the lists images (id, file_name), annotations (image_id, category_id, bbox [x, y, width, "
         "height]) and categories (id, name)")

Id = Annotated[int, Field(ge=-(2**63), lt=2**63)] | Annotated[str, Field(max_length=256)] | Annotated[
    float, Field(allow_inf_nan=False)]
Side = Annotated[int, Field(ge=0, le=MOST_SIDE)] | None


class Image(TypedDict):
    """An image; a side of 0 px or None is one that is not told."""

    id: Id
    file_name: str
    height: NotRequired[Side]
    width: NotRequired[Side]


class Annotation(TypedDict):
    """A box; NaN is for the check of boxes to find."""

    image_id: Id
    category_id: Id
    bbox: NotRequired[Annotated[list[float], Field(max_length=4)] | None]
    iscrowd: NotRequired[Annotated[int, Field(ge=0, le=1)] | None]


class Outline(TypedDict):
    """The rest of an annotation, read where boxes are missing."""

    segmentation: NotRequired[Any]


class Category(TypedDict):
    """A class."""

    id: Id
    name: str | int | float
    supercategory: NotRequired[Any]


class Document(TypedDict):
    """The lists that are read."""

    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category]


class _Outlines(TypedDict):
    annotations: list[Outline]


_DOCUMENT, _OUTLINES = TypeAdapter(Document), TypeAdapter(_Outlines)


def load(file: Path) -> Document:
    """The lists of a file.

    Raises:
        DataError: not COCO's JSON: the first thing that is wrong, and where.
    """
    return _parsed(_DOCUMENT, file)  # type: ignore[no-any-return]


def load_outlines(file: Path) -> list[Outline]:
    """The outlines of all annotations, in order.

    Raises:
        DataError: as `load`.
    """
    return _parsed(_OUTLINES, file)["annotations"]  # type: ignore[no-any-return]


def _parsed(adapter: TypeAdapter[Any], file: Path) -> Any:
    content = read_bytes(file, min(LARGEST_BYTES, _size(file)), DataError)
    if content[:3] == b"\xef\xbb\xbf" or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        content = text_of(content, str(file), DataError).encode()
    try:
        return adapter.validate_json(content)
    except ValidationError as err:
        first = err.errors(include_url=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            raise DataError(f"{file} is not JSON: {first['msg'].removeprefix('Invalid JSON: ')}; export it again"
                            ) from None
        raise DataError(f"{fault(err, str(file))}; COCO's JSON is {_FORM}") from None


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as err:
        raise DataError(f"{file} cannot be read: {err.strerror}") from err


def key(value: int | float | str) -> str:
    """An id as text: 12, 12.0 and '12' are one id."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
