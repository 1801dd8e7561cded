"""The command line of a bundle: `python3 bundle.py predict IMAGE...` and `python3 bundle.py verify`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.deploy.runner.bundle import Bundle
from hwnas.deploy.runner.checking import verify
from hwnas.deploy.runner.predicting import THRESHOLD, load_model, write_mask
from hwnas.documents import printable
from hwnas.errors import HwnasError, UsageError, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BROKEN_PIPE = 141  # as a shell says of a program that SIGPIPE ended
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".npy")


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bundle.py", description="A network that was made for this device.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    commands.required = True
    predict = commands.add_parser("predict", help="what the model says of images, a JSON line each")
    predict.add_argument("sources", nargs="+", metavar="IMAGE|FOLDER")
    predict.add_argument("-o", "--out", type=Path, help="folder for predictions.jsonl and the masks of a segmenter")
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
    files = [file for source in given.sources for file in _files(Path(source))]
    model = load_model(folder, given.runtime)
    lines = []
    for path, name in files:
        answer = model.predict(path, given.threshold)
        facts = dict(answer.facts, file=name.as_posix())
        if given.out is not None and answer.mask is not None:
            mask = name.with_name(f"{name.stem}-mask.png")
            write_mask(given.out / mask, answer.mask)
            facts["mask"] = mask.as_posix()
        lines.append(json.dumps(facts))
        print(lines[-1], flush=True)
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "predictions.jsonl").write_bytes(("\n".join(lines) + "\n").encode())
    return 0


def _files(source: Path) -> Iterator[tuple[Path, Path]]:
    """Files to look at, each with its name in the answers: below the folder that was asked for, or alone."""
    if source.is_dir():
        found = sorted(p for p in source.rglob("*") if p.suffix.lower() in IMAGES)
        if not found:
            raise UsageError(f"{source} holds no images ({', '.join(IMAGES)})")
        for path in found:
            yield path, path.relative_to(source)
    elif source.is_file():
        yield source, Path(source.name)
    else:
        raise UsageError(f"no such file or folder: {source}")
