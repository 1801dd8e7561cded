"""Where shared tables come from: a folder (a git checkout is one), a .zip, a .tar or .tar.gz, or the URL of one.

Nothing is unpacked: files are asked for by name and read within bounds, so that a name which leads out of the folder, a
link, a device or a file that is a thousand times larger than it looks does no harm.
"""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from hwnas.documents import MIB, MOST_BYTES, printable, read_bytes
from hwnas.errors import InputError, UsageError

ZIP, TAR = (".zip",), (".tar", ".tar.gz", ".tgz")
MOST_MEMBERS, MOST_UNPACKED = 10_000, 256 * MIB
MOST_URL_SECONDS = 60.0
_BROKEN_ZIP = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError)
Reader = Callable[[str], bytes | None]
"""Gives the content of a file by its name with slashes; None where there is none."""


def reader_of(source: str) -> Reader:
    """What reads the files of a source.

    Args:
        source: a folder, an archive or a URL (https://, http://) of an archive; only then the network is used.

    Raises:
        InputError: there is nothing of the kind, or the archive is broken or hostile; names the file.
    """
    if re.match(r"https?://", source):
        return _archive(_download(source), source)
    if "://" in source or source.endswith(".git"):
        raise UsageError(f"{source}: a folder, an archive or the https:// address of an archive is needed: clone the "
                         "repository, and give the folder")
    path = Path(source)
    return _folder(path) if path.is_dir() else _archive(read_bytes(path, MOST_UNPACKED), source)


def _folder(root: Path) -> Reader:
    whole = root.resolve()

    def read(name: str) -> bytes | None:
        path = root / _safe(name, str(root))
        if not path.resolve().is_relative_to(whole):
            raise InputError(f"{path} leads out of {root}: shared tables lie in the folder itself")
        return read_bytes(path) if path.exists() else None

    return read


def _archive(content: bytes, where: str) -> Reader:
    name = where.split("?")[0].lower()
    if name.endswith(ZIP):
        return _zip(content, where)
    if name.endswith(TAR):
        return _tar(content, where)
    raise InputError(f"{where} is no folder and ends in none of {', '.join((*ZIP, *TAR))}: give a folder or an archive")


def _zip(content: bytes, where: str) -> Reader:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        members = archive.infolist()
    except _BROKEN_ZIP as err:
        raise InputError(f"{where} is no zip archive: {str(err)[:200]}") from err
    files = [member for member in members if not member.is_dir()]
    sizes = {_safe(member.filename, where): member.file_size for member in files}
    _check_sizes(sizes, len(files), where)
    if links := [member.filename for member in files if (member.external_attr >> 16) & 0o170000 == 0o120000]:
        raise InputError(f"{where}: {printable(links[0])} is a link, and shared tables have none")
    by_name = dict(zip(_without_root(list(sizes)), files, strict=True))

    def read(name: str) -> bytes | None:
        member = by_name.get(name)
        if member is None:
            return None
        try:
            with archive.open(member) as file:
                found = file.read(MOST_BYTES + 1)
        except (*_BROKEN_ZIP, zlib.error) as err:
            raise InputError(f"{where}: {printable(name)} cannot be read: {str(err)[:200]}") from err
        if len(found) > MOST_BYTES:
            raise InputError(f"{where}: {printable(name)} is larger than {MOST_BYTES / MIB:g} MiB")
        return found

    return read


def _tar(content: bytes, where: str) -> Reader:
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(_unpacked(content, where)), mode="r:") as archive:
            for number, member in enumerate(archive):
                name = _safe(member.name, where)
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise InputError(f"{where}: {printable(name)} is a link or a device, and shared tables have none")
                if number >= MOST_MEMBERS or name in found:
                    raise InputError(f"{where} holds more than {MOST_MEMBERS:,} files, or {printable(name)} twice")
                file = archive.extractfile(member)
                found[name] = file.read(MOST_BYTES) if file is not None and member.size <= MOST_BYTES else b""
    except (tarfile.TarError, OSError, ValueError, EOFError, RecursionError, OverflowError) as err:
        raise InputError(f"{where} is no tar archive: {str(err)[:200]}") from err
    return dict(zip(_without_root(list(found)), found.values(), strict=True)).get


def _unpacked(content: bytes, where: str) -> bytes:
    if content[:2] != b"\x1f\x8b":
        return content
    unpack = zlib.decompressobj(31)
    try:
        found = unpack.decompress(content, MOST_UNPACKED + 1)
    except zlib.error as err:
        raise InputError(f"{where} is no gzip file: {err}") from err
    if len(found) > MOST_UNPACKED:
        raise InputError(f"{where} unpacks to more than {MOST_UNPACKED / MIB:g} MiB: no collection of tables does")
    return found


def _check_sizes(sizes: dict[str, int], count: int, where: str) -> None:
    if len(sizes) < count or count > MOST_MEMBERS:
        raise InputError(f"{where} holds a name twice, or more than {MOST_MEMBERS:,} files")
    if sum(sizes.values()) > MOST_UNPACKED:
        raise InputError(f"{where} unpacks to more than {MOST_UNPACKED / MIB:g} MiB: no collection of tables does")


def _safe(name: str, where: str) -> str:
    """A name that stays below its folder.

    Raises:
        InputError: it does not.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name or len(name) > 500:
        raise InputError(f"{where}: {printable(name[:200])!r} is no name of a file in a folder: the archive is hostile "
                         "or broken, and nothing of it was used")
    return str(path)


def _without_root(names: list[str]) -> list[str]:
    """Names without the one folder that all lie in, as hosts of repositories pack them."""
    roots = {name.split("/")[0] for name in names}
    nested = len(roots) == 1 and all("/" in name for name in names)
    return [name.split("/", 1)[1] for name in names] if nested else names


def _download(url: str) -> bytes:
    """Raises InputError: it cannot be had, or is too large."""
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=MOST_URL_SECONDS) as answer:
            content: bytes = answer.read(MOST_UNPACKED + 1)
    except (URLError, OSError, ValueError) as err:
        raise InputError(f"cannot fetch {url}: {getattr(err, 'reason', None) or err}") from err
    if len(content) > MOST_UNPACKED:
        raise InputError(f"{url} is larger than {MOST_UNPACKED / MIB:g} MiB: no collection of tables is")
    return content
