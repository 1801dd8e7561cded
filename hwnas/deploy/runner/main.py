"""The command line of a bundle: `python3 bundle.py predict IMAGE...` and `python3 bundle.py verify`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.deploy.runner.bundle import Bundle
from hwnas.deploy.runner.checking import verify
from hwnas.deploy.runner.predicting import THRESHOLD, Model, load_model, write_mask
from hwnas.documents import printable
from hwnas.errors import HwnasError, InputError, UsageError, VerificationFailed
from hwnas.files import LineLog, write_bytes
from hwnas.imaging.listing import ANSWERS, list_images, output_stems
from hwnas.imaging.opening import SUFFIXES
from hwnas.tasks.readout import npz

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BROKEN_PIPE = 141  # as a shell says of a program that SIGPIPE ended
MASK, ARRAYS = "-mask.png", "-outputs.npz"


def main(folder: Path, words: Sequence[str]) -> int:
    """Run one command on the bundle in `folder`; 0 done, 2 bad usage or input, 4 the check failed.

    What is asked for goes to standard output, what is wrong to standard error.
    """
    given = _parser().parse_args(list(words))
    try:
        code = int(given.command(folder, given))
        sys.stdout.flush()
        return code
    except HwnasError as err:
        print(printable(f"error: {err}", lines=True), file=sys.stderr)
        return err.exit_code
    except BrokenPipeError:  # whoever read has enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as err:
        print(printable(f"error: {err}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as err:  # a defect of the runner; what a person needs of it is one line
        told = f"error: something unexpected: {type(err).__name__}: {' '.join(str(err).split())[:300]}"
        print(printable(f"{told}: report it to who made the bundle"), file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bundle.py", description="A network that was made for this device.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    commands.required = True
    predict = commands.add_parser("predict", help="what the model says of images, a JSON line each")
    predict.add_argument("sources", nargs="+", metavar="IMAGE|FOLDER")
    predict.add_argument("-o", "--out", type=Path, help="folder for predictions.jsonl, masks and outputs")
    predict.add_argument("--threshold", type=float, default=THRESHOLD, help="least score of a box (%(default)s)")
    predict.set_defaults(command=_predict)
    check = commands.add_parser("verify", help="files, outputs and latency, checked on this device")
    check.add_argument("--json", action="store_true", help="all figures as JSON")
    check.set_defaults(command=_verify)
    for command in (predict, check):
        command.add_argument("--runtime", help="another runtime than the bundle's; then nothing is timed")
    return parser


def _verify(folder: Path, given: Any) -> int:
    found = verify(Bundle(folder), given.runtime)
    print(json.dumps(found.to_json(), indent=1) if given.json else printable(found.verdict()))
    return VerificationFailed.exit_code if found.failures() else 0


def _predict(folder: Path, given: Any) -> int:
    if not 0 <= given.threshold <= 1:
        raise UsageError(f"--threshold must be in 0..1, not {given.threshold}: it is the least score of a box")
    files = [file for source in given.sources for file in _files(Path(source), given.out)]
    stems = output_stems([name for _, name, _ in files], [MASK, ARRAYS])
    model, failed = load_model(folder, given.runtime), []
    with contextlib.ExitStack() as stack:
        lines = None if given.out is None else stack.enter_context(LineLog(given.out / ANSWERS))
        for (path, name, reason), stem in zip(files, stems):  # noqa: B905 - Python 3.8
            facts = {"file": name, "error": reason} if reason else _facts(model, path, name, stem, given)
            print(json.dumps(facts), flush=True)
            failed += [facts] if "error" in facts else []
            if lines is not None:
                lines.add(facts)
    if failed:
        first = failed[0]
        print(printable(f"error: {len(failed)} of {len(files)} files cannot be read; {first['file']}: "
                        f"{first['error']}"), file=sys.stderr)
    return InputError.exit_code if failed else 0


def _facts(model: Model, path: Path, name: str, stem: str, given: Any) -> dict[str, Any]:
    """What the model says of a file, its mask written; of one that cannot be read, why."""
    try:
        answer = model.predict(path, given.threshold)
    except (InputError, MemoryError) as err:
        return {"file": name, "error": getattr(err, "reason", None) or str(err) or "not enough memory for it"}
    facts = dict(answer.facts, file=name)
    if given.out is not None and answer.mask is not None:
        write_mask(given.out / f"{stem}{MASK}", answer.mask)
        facts["mask"] = f"{stem}{MASK}"
    if given.out is not None and answer.arrays:
        write_bytes(given.out / f"{stem}{ARRAYS}", npz(answer.arrays))
        facts["arrays"] = f"{stem}{ARRAYS}"
    return facts


def _files(source: Path, out: Path | None) -> Iterator[tuple[Path, str, str]]:
    """Files to look at, their names in the answers, and why one cannot be: below the folder that was asked for."""
    if not source.is_dir():
        yield source, source.name, "" if source.exists() else f"no such file or folder: {source}"
        return
    found = list_images(source, out, (*SUFFIXES, ".npy"))
    if not found.images and not found.closed:
        raise UsageError(f"{source} holds no images ({', '.join(SUFFIXES)}, .npy)")
    if found.left_out():
        print(printable(f"{source}: {found.left_out()}"), file=sys.stderr)
    for path, reason in found.closed:
        yield source / path, str(path), reason
    for path in found.images:
        yield source / path, str(path), ""
