"""A `.pt2` file of `torch.export.save`, read so that nothing in it is carried out on the way.

`torch.export.load` is not made for files of strangers: it unpickles example inputs without bounds, resolves whatever
name a node calls as an attribute of torch (and so `os.system`), evaluates expressions of sizes as Python, imports the
module that a tree of arguments names, and writes the names of inputs into code that it executes. So the archive is
taken apart here, every word in it that means something is held against what may stand there, and torch is given a new
archive of what is left: weights as plain numbers, the graph without notes and guards, no examples. What does not pass
is refused with the way out, an ONNX file.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from hwnas.documents import brief, json_value
from hwnas.errors import InputError

GRAPH = "models/model.json"
CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
PLAIN = re.compile(r"data/(weights/weight|constants/tensor)_\d+")
COMPILED = "data/aotinductor/"
EXAMPLES = "data/sample_inputs/model.pt"
OTHERS = {"archive_format": b"pt2", "archive_version": b"0", "byteorder": b"little", ".data/version": b"3\n"}
NODE = re.compile(
    r"torch\.ops\.(aten|prims)\.(__i?(and|or|xor|lshift|rshift)__|(?!__|from_file)\w+)(\.(?!__)\w+)?|torch\.sym_\w+|"
    r"torch\.ops\.higher_order\.(cond|while_loop|scan|map_impl|wrap_with_set_grad_enabled|wrap_with_autocast)|"
    r"math\.(ceil|floor|trunc|sqrt)|"
    r"_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_|not_)")
WORD = re.compile(r"[\w.\-/]*")
NUMBERS = re.compile(r"[\w\s(),='\-.+*/<>]*")  # an expression over sizes, of the functions below
FUNCTIONS = {"Symbol", "Integer", "Float", "Rational", "Mul", "Add", "Max", "Min", "FloorDiv", "Mod", "PythonMod",
             "CeilDiv", "CeilToInt", "FloorToInt", "IntTrueDiv", "TruncToInt", "ToFloat", "positive", "integer",
             "nonnegative", "real", "True", "False", "precision"}
TREES = ("builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict", None)
NOTES = ("metadata", "guards_code")
WAY_OUT = "export the network to ONNX instead (torch.onnx.export) and give that file"


def load_program(data: bytes, name: str) -> Any:
    """The program of a `.pt2` file.

    Args:
        data: the file.
        name: of it, for messages.

    Returns:
        A `torch.export.ExportedProgram`.

    Raises:
        InputError: no such archive, or something in it that could be carried out; says what, and the way out.
    """
    import torch

    try:
        return torch.export.load(io.BytesIO(_rebuilt(_entries(data, name), name)))
    except InputError:
        raise
    except Exception as err:  # torch raises what it likes for what it does not understand
        raise InputError(f"{name} cannot be read by torch {torch.__version__}: {type(err).__name__}: "
                         f"{brief(str(err))}; {WAY_OUT}") from err


def _entries(data: bytes, name: str) -> dict[str, bytes]:
    """Path in the archive, without its first folder -> content."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = archive.infolist()
            if any(file.compress_type != zipfile.ZIP_STORED for file in files):
                raise InputError(f"{name} is compressed, and torch.export.save compresses nothing: it is another kind "
                                 f"of file; {WAY_OUT}")
            return {file.filename.partition("/")[2]: archive.read(file) for file in files}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as err:
        raise InputError(f"{name} is no file of torch.export.save ({brief(str(err))}): {WAY_OUT}") from err


def _rebuilt(entries: dict[str, bytes], name: str) -> bytes:
    """A new archive of what was looked at."""
    if any(path.startswith(COMPILED) for path in entries):
        raise InputError(f"{name} holds a compiled program, which cannot be compressed: {WAY_OUT}")
    if GRAPH not in entries or CONFIGS[0] not in entries:
        raise InputError(f"{name} has no {GRAPH}: it is a file of torch.jit, of another name, or of a torch before "
                         f"2.8; save it again with torch.export.save, or {WAY_OUT}")
    graph = _without_notes(json_value(entries[GRAPH], f"{name}: {GRAPH}"))
    _check(graph, name)
    kept: dict[str, bytes] = {**OTHERS, GRAPH: json.dumps(graph).encode(), EXAMPLES: b""}
    for path in CONFIGS:
        found = json_value(entries.get(path, b'{"config": {}}'), f"{name}: {path}")
        _check_config(found, path, name)
        kept[path] = json.dumps(found).encode()
    kept |= {path: content for path, content in entries.items() if PLAIN.fullmatch(path)}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for path, content in kept.items():
            archive.writestr(f"model/{path}", content)
    return file.getvalue()


def _without_notes(value: Any) -> Any:
    """The same without what is written down for people and debuggers."""
    if isinstance(value, list):
        return [_without_notes(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {key: ([] if isinstance(part, list) else {}) if key in NOTES else _without_notes(part)
            for key, part in value.items()}


def _check(graph: Any, name: str) -> None:
    """Raises InputError for a word that could make torch do something else than build a graph."""
    for key, text in _texts(graph):
        good = {"target": _is_node, "expr_str": _is_size, "in_spec": _is_tree, "out_spec": _is_tree,
                "as_string": _is_anything, "torch_version": _is_anything}.get(key, _is_word)
        if not good(text):
            what = {"target": "calls", "expr_str": "has a size that is"}.get(key, f"has a {key} of")
            raise InputError(f"{name} {what} {brief(text)}, which is not carried out for a file of unknown origin: "
                             f"{WAY_OUT}")


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a document with the key that it stands under; keys are texts, too."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part, key)
    elif isinstance(value, dict):
        for inner, part in value.items():
            yield "", inner
            yield from _texts(part, inner)


def _is_node(text: str) -> bool:
    return text == "" or NODE.fullmatch(text) is not None


def _is_size(text: str) -> bool:
    if NUMBERS.fullmatch(text) is None or "**" in text:
        return False
    words = re.findall(r"[A-Za-z_]\w*", re.sub(r"'\w+'", "", text))
    return all(word in FUNCTIONS or re.fullmatch(r"[a-z]\d+", word) for word in words)


def _is_tree(text: str) -> bool:
    """Whether arguments are tuples, lists and mappings: other kinds name modules, which would be imported."""
    try:
        return text == "" or _of_plain_trees(json_value(text, "arguments"))
    except InputError:
        return False


def _of_plain_trees(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("type") in TREES and all(map(_of_plain_trees, value.values()))
    return not isinstance(value, list) or all(map(_of_plain_trees, value))


def _is_word(text: str) -> bool:
    return WORD.fullmatch(text) is not None


def _is_anything(text: str) -> bool:
    """It is only ever quoted."""
    return True


def _check_config(found: Any, path: str, name: str) -> None:
    entries = found.get("config") if isinstance(found, dict) else None
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise InputError(f"{name}: {path} is not what torch.export.save writes: {WAY_OUT}")
    for tensor, entry in entries.items():
        file = str(entry.get("path_name"))
        if entry.get("use_pickle") or PLAIN.fullmatch(f"{path.rpartition('/')[0]}/{file}") is None:
            raise InputError(f"{name} holds {brief(tensor)} as a Python object and not as numbers, and unpickling it "
                             f"could do anything: {WAY_OUT}")
