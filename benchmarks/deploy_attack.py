"""`hwnas serve` under attack: 60 hostile clients of 25 kinds at once, and what honest ones see meanwhile.

    python benchmarks/deploy_attack.py MODEL photo.jpg --seconds 20

MODEL is a bundle, a run folder or an ONNX file. Server, hostile clients and honest ones are processes of this machine,
on its loopback address alone; the attack is bounded in clients and time and ends by itself. /health is asked every
50 ms on a connection of its own; four honest clients send the photo, and try again where the server says so. Then the
server is ended with SIGTERM while the attack goes on. The exit code is 1 if /health took longer than 100 ms at the 99th
percentile, an honest client was not served, memory grew beyond its bound, or the server did not end in time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import http.client
import io
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

HOSTILE, HONEST, PROBE_S, TRIES = 60, 4, 0.05, 5
GOAL_MS, STOP_S, TIMEOUT_S = 100.0, 10.0, 5
MEMORY_MB = 700  # that the two processes may hold on top of what they begin with: 160 MB of bodies, and one large image
HOST = "127.0.0.1"
POST = b"POST /predict HTTP/1.1\r\nHost: a\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Kind = Callable[[Streams], Coroutine[None, None, None]]


def post(body: bytes, *headers: bytes) -> bytes:
    """A request with a body."""
    return POST + b"".join(h + b"\r\n" for h in headers) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def form(body: bytes, boundary: bytes = b"b") -> bytes:
    """A request with a form."""
    return post(body, b"Content-Type: multipart/form-data; boundary=" + boundary)


def part(disposition: bytes) -> bytes:
    """A form of one part with this Content-Disposition."""
    return b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\nx\r\n--b--\r\n"


def saved(image: Image.Image, kind: str, **how: object) -> bytes:
    """The bytes of an image."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def scans() -> bytes:
    """A JPEG whose last scan is repeated 100,000 times."""
    data = saved(Image.new("RGB", (2000, 2000)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * (1_000_000 // len(data[last:-2]) + 100) + b"\xff\xd9"


def whole(request: bytes) -> Kind:
    """Send all of it, and read what comes."""
    async def attack(streams: Streams) -> None:
        reader, writer = streams
        writer.write(request)
        await writer.drain()
        await reader.read()
    return attack


def trickle(begin: bytes, letter: bytes, pause_s: float) -> Kind:
    """Send the begin, and then one letter after the other, for ever."""
    async def attack(streams: Streams) -> None:
        writer = streams[1]
        writer.write(begin)
        while True:
            writer.write(letter)
            await writer.drain()
            await asyncio.sleep(pause_s)
    return attack


def deaf(request: bytes) -> Kind:
    """Ask again and again, and never read an answer."""
    async def attack(streams: Streams) -> None:
        for _ in range(100):
            streams[1].write(request)
            await streams[1].drain()
        await asyncio.sleep(TIMEOUT_S)
    return attack


async def come_and_go(streams: Streams) -> None:
    """Connect, and leave."""


def kinds(photo: bytes) -> dict[str, Kind]:
    """The kinds of attack by name."""
    get, close = b"GET /health HTTP/1.1\r\nHost: a\r\n", b"Connection: close"
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    bomb = saved(Image.new("RGB", (5600, 5600)), "PNG", compress_level=1)
    return {
        "900,000 semicolons in a file name": whole(form(part(b'form-data; name=image; filename="' + b";" * 900_000))),
        "filename* in a codec of the client's": whole(form(part(b"form-data; filename*=idna''%ff" + b"%41" * 900))),
        "200,000 parts": whole(form(b"--b\r\na: b\r\n\r\n\r\n" * 200_000 + b"--b--\r\n")),
        "a boundary that nearly is one, 1 MB": whole(form(b"--b\r\n\r\n" + b"\r\n--c" * 200_000 + b"\r\n--b--")),
        "100,000 headers in a part": whole(form(b"--b\r\n" + b"a: b\r\n" * 100_000 + b"\r\nx\r\n--b--\r\n")),
        "a head that trickles": trickle(b"POST /predict HTTP/1.1\r\nHost: ", b"a", 0.05),
        "a body that trickles": trickle(POST + b"Content-Length: 1000000\r\n\r\n", b"x", 0.05),
        "19 MB, then silence": trickle(POST + b"Content-Length: 20000000\r\n\r\n" + bytes(19_000_000), b"", 1),
        "chunks of one byte": trickle(chunked, b"1\r\nx\r\n" * 10_000, 0),
        "chunks of 4,200 bytes": trickle(chunked, (b"1068\r\n" + bytes(4200) + b"\r\n") * 50, 0),
        "a trailer of blanks": whole(chunked + b"1\r\nx\r\n0\r\na:" + b" " * 15_000 + b"\x01\r\n\r\n"),
        "a header of blanks": whole(get + b"a:" + b" " * 15_000 + b"\x01\r\n\r\n"),
        "4,000 headers": whole(get + b"a:\r\n" * 4000 + b"\r\n"),
        "headers without end": trickle(get, b"a: b\r\n" * 1000, 0),
        "1,000 requests at once": whole((get + b"\r\n") * 1000),
        "asks before it sends, and does not": trickle(POST + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n", b"",
                                                      1),
        "length and chunks": whole(POST + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        "gzip of zeros": whole(post(gzip.compress(bytes(50_000_000)), b"Content-Encoding: gzip")),
        "a query of 1 MB": whole(b"GET /health?" + b"a&" * 500_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        "WebSocket": whole(get + b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n"),
        "HTTP/2": whole(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(1000)),
        "a PNG of 31 megapixels": whole(post(bomb, close)),
        "a JPEG of thousands of scans": whole(post(scans(), close)),
        "never reads": deaf(post(photo)),
        "comes and goes": come_and_go,
    }


async def client(port: int, attack: Kind, until: float) -> int:
    """Attack again and again, while there is a server; how often."""
    count = 0
    while time.monotonic() < until:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            left_s = max(0.05, min(2.0 * TIMEOUT_S, until - time.monotonic()))
            async with asyncio.timeout(left_s), _connected(port) as streams:
                count += 1
                await attack(streams)
        await asyncio.sleep(0.005)
    return count


@contextlib.asynccontextmanager
async def _connected(port: int) -> AsyncIterator[Streams]:
    streams = await asyncio.open_connection(HOST, port)
    try:
        yield streams
    finally:
        streams[1].transport.abort()


async def attacked(port: int, photo: bytes, clients: int, seconds: float) -> dict[str, int]:
    """All hostile clients at once; attempts by kind."""
    until, known = time.monotonic() + seconds, kinds(photo)
    names = [list(known)[i % len(known)] for i in range(clients)]
    counts = await asyncio.gather(*(client(port, known[name], until) for name in names))
    total: Counter[str] = Counter()
    for name, count in zip(names, counts, strict=True):
        total[name] += count
    return dict(total)


@dataclass
class Seen:
    """What honest clients saw."""

    health_ms: list[float] = field(default_factory=list)
    answers_ms: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    peak_mb: float = 0.0


def probe(port: int, pid: int, seen: Seen, stop: threading.Event) -> None:
    """Ask for /health, each time on a new connection as an orchestrator does."""
    while not stop.wait(PROBE_S):
        begin = time.perf_counter()
        try:
            status = ask(port, "GET", "/health", b"")[0]
        except OSError as err:
            status = type(err).__name__
        seen.health_ms.append((time.perf_counter() - begin) * 1e3 if status == 200 else float("inf"))
        seen.peak_mb = max(seen.peak_mb, memory_mb(pid))


def send(port: int, photo: bytes, seen: Seen, stop: threading.Event) -> None:
    """Send the photo until told to stop; where there is no room now, wait as long as the server says."""
    while not stop.is_set():
        begin, status = time.perf_counter(), "0"
        for _ in range(TRIES):
            try:
                code, wait_s = ask(port, "POST", "/predict", photo)
            except OSError as err:
                code, wait_s = type(err).__name__, 1
            status = str(code)
            seen.statuses[status] += 1
            if status == "200" or stop.wait(wait_s):
                break
        seen.answers_ms.append((time.perf_counter() - begin) * 1e3)
        seen.failed += status != "200" and not stop.is_set()


def ask(port: int, method: str, path: str, body: bytes) -> tuple[int | str, int]:
    """Status, and the seconds to wait before the next try."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request(method, path, body)
        found = connection.getresponse()
        found.read()
        return found.status, int(found.headers.get("Retry-After") or 1)
    except http.client.HTTPException as err:
        raise ConnectionError(str(err)) from err
    finally:
        connection.close()


def memory_mb(pid: int) -> float:
    """What a process and its children hold now, 10^6 bytes; 0 where one is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    held = [int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmRSS")]
    return sum(held) + sum(memory_mb(int(child)) for child in children)


@contextlib.contextmanager
def serving(model: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server and its port."""
    words = [sys.executable, "-m", "hwnas", "serve", str(model), "--port", "0", "--timeout", str(TIMEOUT_S)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server, int(server.stdout.readline().split()[0].rpartition(":")[2])
        finally:
            if server.poll() is None:
                server.kill()


def measured(model: Path, image: Path, clients: int, seconds: float) -> dict[str, object]:
    """Attack, and what came of it."""
    photo, stop, seen = image.read_bytes(), threading.Event(), Seen()
    with serving(model) as (server, port):
        for _ in range(5):
            ask(port, "POST", "/predict", photo)
        before = memory_mb(server.pid)
        words = [sys.executable, __file__, str(model), str(image), "--attack", str(port), "--clients", str(clients),
                 "--seconds", str(seconds + STOP_S)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as hostile:
            time.sleep(1.0)  # until all are there
            threads = [threading.Thread(target=probe, args=(port, server.pid, seen, stop)),
                       *(threading.Thread(target=send, args=(port, photo, seen, stop)) for _ in range(HONEST))]
            for thread in threads:
                thread.start()
            time.sleep(seconds)
            stop.set()
            for thread in threads:
                thread.join()
            after, begin = memory_mb(server.pid), time.monotonic()
            server.send_signal(signal.SIGTERM)
            code = server.wait(60)
            stopped = time.monotonic() - begin
            attempts = json.loads(hostile.communicate()[0])
    return facts(seen, attempts, before, after, stopped, code)


def facts(seen: Seen, attempts: dict[str, int], before: float, after: float, stopped: float, code: int
          ) -> dict[str, object]:
    """The figures, and whether the goals are met."""
    p50, p99 = np.percentile(seen.health_ms, [50, 99], method="lower")
    served = len(seen.answers_ms) - seen.failed
    goals = {"health": p99 <= GOAL_MS, "honest": seen.failed == 0 and served > 0,
             "memory": seen.peak_mb - before <= MEMORY_MB, "stop": stopped <= STOP_S and code == 0}
    return {"health_ms": {"median": p50, "p99": p99, "max": max(seen.health_ms), "probes": len(seen.health_ms)},
            "honest": {"requests": len(seen.answers_ms), "served": served, "tries": dict(seen.statuses),
                       "median_ms": float(np.median(seen.answers_ms))},
            "memory_mb": {"before": before, "peak": seen.peak_mb, "after": after},
            "stop": {"seconds": stopped, "exit": code}, "attempts": attempts, "goals": goals}


def text(found: dict[str, dict[str, float]], clients: int) -> str:
    """The figures as a table."""
    health, honest, memory, stop = (found[key] for key in ("health_ms", "honest", "memory_mb", "stop"))
    rows = [
        ("hostile clients, kinds, attempts", f"{clients}, {len(found['attempts'])}, {sum(found['attempts'].values())}"),
        ("/health, ms: median, p99, max", f"{health['median']:.1f}, {health['p99']:.1f}, {health['max']:.1f} "
                                          f"({health['probes']} probes)"),
        ("honest requests that were served", f"{honest['served']} of {honest['requests']} "
                                             f"(median {honest['median_ms']:.0f} ms; tries {honest['tries']})"),
        ("memory, MB: before, peak, after", f"{memory['before']:.0f}, {memory['peak']:.0f}, {memory['after']:.0f}"),
        ("SIGTERM under attack", f"exit {stop['exit']} after {stop['seconds']:.1f} s"),
        ("goals", ", ".join(f"{name} {'met' if met else 'MISSED'}" for name, met in found["goals"].items())),
    ]
    return "\n".join(["| what | outcome |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def main() -> None:
    """Print the table, or attack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--clients", type=int, default=HOSTILE)
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    parser.add_argument("--attack", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.attack:
        print(json.dumps(asyncio.run(attacked(given.attack, given.image.read_bytes(), given.clients, given.seconds))))
        return
    found = measured(given.model, given.image, given.clients, given.seconds)
    print(json.dumps(found, default=bool) if given.json else text(found, given.clients))
    sys.exit(not all(found["goals"].values()))


if __name__ == "__main__":
    main()
