"""Faults that a bundle and its server must survive, each brought about for real, and what came of it.

    python benchmarks/deploy_faults.py RUN photo.jpg

RUN is a finished run. Two bundles are made of it, for ONNX Runtime and for OpenVINO; every fault starts from a copy. A
row is good if nothing crashed: an exit code or a status, one line that says what to do, and after it the server (or a
second start) works. The exit code is 1 if a row is not. A full disk is a tmpfs of 64 KiB, which takes root.
"""

from __future__ import annotations

import argparse
import http.client
import io
import itertools
import json
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from hwnas.deploy import deploy_run
from hwnas.deploy.runner.bundle import MODEL, SAMPLES, SUMS
from hwnas.files import sha256
from hwnas.pipeline import RunFolder

TIMEOUT_S = 2  # that the server gives a client


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    Args:
        fault: in words.
        told: exit code or status, and what was said.
        good: whether it was refused or survived in one line, and what comes after works.
    """

    fault: str
    told: str
    good: bool

    def row(self) -> str:
        return f"| {self.fault} | {self.told.replace('|', '/')} | {'yes' if self.good else '**no**'} |"


@dataclass(frozen=True)
class Server:
    """A running `hwnas serve`."""

    process: subprocess.Popen[str]
    port: int

    def post(self, body: bytes) -> tuple[int, str]:
        """Status and text of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/predict", body)
        found = connection.getresponse()
        return found.status, found.read().decode()

    @property
    def well(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200 and self.process.poll() is None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("image", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run = RunFolder.open(given.run)
        plain = deploy_run(run, work / "plain").path
        intel = deploy_run(run, work / "intel", _yaml(work, "openvino", "fp32")).path
        image = given.image.read_bytes()
        print("| fault | what came of it | and then all works |\n| --- | --- | --- |")
        good = True
        for outcome in itertools.chain(_files(plain, work), [_calibration(given.run)], _cache(intel, work),
                                       _requests(plain, image), [_two_starts(plain), _two_builds(intel, work)]):
            print(outcome.row(), flush=True)
            good &= outcome.good
    sys.exit(not good)


def _yaml(work: Path, runtime: str, precision: str) -> str:
    path = work / f"mine-{runtime}-{precision}.yaml"
    path.write_text(f"name: mine\ndescription: a board\nruntime: {runtime}\nprecision: {precision}\nbatch: 1\n"
                    "threads: 1\n")
    return str(path)


def _files(bundle: Path, work: Path) -> Iterator[Outcome]:
    """Faults of the bundle's own files, met by `bundle.py verify` on a device and by `hwnas serve`."""
    faults: dict[str, Callable[[Path], object]] = {
        "wrong checksum: a byte of model.onnx changed": _flip,
        "corrupt model: 2,000 bytes cut off, sums made to fit": lambda copy: (_cut(copy / MODEL), _sums(copy)),
        "samples.npz is gone": lambda copy: (copy / SAMPLES).unlink(),
    }
    for fault, harm in faults.items():
        copy = Path(tempfile.mkdtemp(dir=work)) / "b"
        shutil.copytree(bundle, copy)
        harm(copy)
        for words in ([sys.executable, str(copy / "bundle.py"), "verify"],
                      [sys.executable, "-m", "hwnas", "serve", str(copy), "--port", "0"]):
            yield _refused(f"{fault}; {'bundle.py verify' if 'verify' in words else 'hwnas serve'}", words, copy)


def _flip(copy: Path) -> None:
    data = bytearray((copy / MODEL).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (copy / MODEL).write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def _sums(copy: Path) -> None:
    """Fit SHA256SUMS to the files as they are now."""
    names = [line.split("  ", 1)[1] for line in (copy / SUMS).read_text().splitlines()]
    (copy / SUMS).write_text("".join(f"{sha256(copy / name)}  {name}\n" for name in names))


def _refused(fault: str, words: list[str], where: Path) -> Outcome:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    lines = done.stderr.strip().splitlines()
    text = lines[-1].replace(str(where), "BUNDLE") if lines else done.stdout.strip()
    return Outcome(fault, f"exit {done.returncode}: {text}", done.returncode in (2, 4) and len(lines) <= 1)


def _calibration(run: Path) -> Outcome:
    words = [sys.executable, "-m", "hwnas", "verify", str(run / "model.onnx"), "--precision", "int8"]
    found = _refused("missing calibration: a model in fp32 is to run in int8", words, run)
    return Outcome(found.fault, found.told.replace("BUNDLE", "RUN"), found.good)


def _cache(bundle: Path, work: Path) -> Iterator[Outcome]:
    """Faults of what is compiled on the device: of another version, damaged, and no room for it."""
    copy = work / "versions"
    shutil.copytree(bundle, copy)
    first = _verified(copy)[1]
    (kept,) = (p for p in (copy / "cache").iterdir() if p.is_dir())
    kept.rename(kept.with_name("0" * len(kept.name)))  # where another version of the runtime would have put it
    again, then = _verified(copy)[1], _verified(copy)[1]
    yield Outcome("compiled by another version of the runtime", f"{first}, then {again}, then {then}",
                  (first, again, then) == ("built", "rebuilt", "kept"))
    (blob,) = (p for p in (copy / "cache").rglob("*.blob"))
    _cut(blob)
    again, then = _verified(copy)[1], _verified(copy)[1]
    yield Outcome("compiled model damaged on disk", f"{again}, then {then}", (again, then) == ("rebuilt", "kept"))
    yield _full_disk(bundle, work)


def _verified(bundle: Path, cache: Path | None = None) -> tuple[int, str, str]:
    """Exit code of `bundle.py verify`, what it says of its cache, and its standard error."""
    words = ["env", *([f"HWNAS_BUNDLE_CACHE={cache}"] if cache else []), sys.executable, str(bundle / "bundle.py"),
             "verify", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    return done.returncode, json.loads(done.stdout)["cache"] if done.stdout else "", done.stderr


def _full_disk(bundle: Path, work: Path) -> Outcome:
    disk = work / "disk"
    disk.mkdir()
    fault = "disk full while the model is compiled"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        return Outcome(fault, "not tried: mount takes root", True)
    try:
        found = [_verified(bundle, disk) for _ in range(2)]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    told = "; ".join(f"exit {code}, compiled model {state}" for code, state, _ in found)
    return Outcome(fault, f"answers all the same: {told}", all(code in (0, 4) and not err for code, _, err in found))


def _requests(bundle: Path, image: bytes) -> Iterator[Outcome]:
    with _server(bundle) as server:
        bomb = io.BytesIO()
        Image.new("1", (10_000, 10_000)).save(bomb, "PNG")
        for fault, body in {
            "truncated image": image[: len(image) // 2], "100 megapixels in a PNG of 12 kB": bomb.getvalue(),
            "PNG bomb: says 64x64, holds 1 GB of zeros": _overfull(),
            "PNG that says 60,000 x 60,000": _png(60_000, 60_000, b"\0" * 64), "no image": b"GIF89a of sorts",
        }.items():
            before = _peak_mb(server.process.pid)
            status, text = server.post(body)
            grown = _peak_mb(server.process.pid) - before
            told = json.loads(text).get("error", text)
            yield Outcome(fault, f"{status}: {told} (+{grown:.0f} MB)", _fine(server, image) and grown < 100
                          and (status in (400, 413, 415) or "64x64" in fault))
        yield _slow(server, image)
        yield _stopped(server)


def _fine(server: Server, image: bytes) -> bool:
    return server.well and server.post(image)[0] == 200


def _peak_mb(pid: int) -> float:
    """The most that a process and its children ever held."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (line,) = (x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1e3 + sum(_peak_mb(int(child)) for child in children)


def _png(width: int, height: int, rows: bytes) -> bytes:
    """A PNG in grey whose pixels are `rows`, whatever its header says."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def _overfull() -> bytes:
    return _png(64, 64, bytes(1 << 30))


def _slow(server: Server, image: bytes) -> Outcome:
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nfew")
        others = server.post(image)[0]
        answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    told = json.loads(answer.partition("\r\n\r\n")[2])["error"]
    status = int(answer.split()[1])
    return Outcome("a client that sends three bytes and waits", f"{status} after {time.monotonic() - begin:.1f} s: "
                   f"{told}; another one was answered {others} meanwhile", status == 408 and others == 200)


def _stopped(server: Server) -> Outcome:
    """SIGTERM while requests are under way, of an image that takes a while: every one that was sent is answered."""
    buffer, clients = io.BytesIO(), []
    Image.new("RGB", (5600, 5600)).save(buffer, "PNG", compress_level=1)
    image = buffer.getvalue()
    for _ in range(8):
        client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(image) + image)
        clients.append(client)
    deadline = time.monotonic() + 10
    while '"waiting":7' not in _health(server) and time.monotonic() < deadline:
        time.sleep(0.01)  # until one is in work and all others are in the queue
    server.process.terminate()
    answers = [client.recv(65536)[:12].decode() for client in clients]
    code = server.process.wait(30)
    kept = answers.count("HTTP/1.1 200")
    return Outcome("kill -TERM with 8 requests under way", f"{kept} of 8 answered 200, exit {code}",
                   kept == 8 and code == 0)


def _health(server: Server) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/health")
    return connection.getresponse().read().decode().replace(" ", "")


def _command(bundle: Path, port: int = 0) -> list[str]:
    return [sys.executable, "-m", "hwnas", "serve", str(bundle), "--port", str(port), "--timeout", str(TIMEOUT_S)]


@contextmanager
def _server(bundle: Path) -> Iterator[Server]:
    with subprocess.Popen(_command(bundle), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(process, int(process.stdout.readline().split()[0].rpartition(":")[2]))
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _two_starts(bundle: Path) -> Outcome:
    with _server(bundle) as server:
        done = subprocess.run(_command(bundle, server.port), capture_output=True, text=True, timeout=60)
        told = done.stderr.strip().replace(str(server.port), "PORT")
        good = done.returncode == 2 and "\n" not in told and server.well
        return Outcome("two starts on one port", f"the second: exit {done.returncode}: {told}", good)


def _two_builds(bundle: Path, work: Path) -> Outcome:
    words = ["env", f"HWNAS_BUNDLE_CACHE={work / 'both'}", sys.executable, str(bundle / "bundle.py"), "verify",
             "--json"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = sorted(json.loads(process.communicate(timeout=120)[0])["cache"] for process in both)
    return Outcome("two first starts at once, one cache", " and ".join(found), found == ["built", "kept"])


if __name__ == "__main__":
    main()
