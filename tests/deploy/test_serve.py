"""`hwnas serve` as a process of its own, asked through real HTTP on a free port of this machine."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from hwnas.pipeline.exported.image_sources import frames
from hwnas.pipeline.exported.predicting import Predictor
from tests.freezing import child_of, frozen, until

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from hwnas.deploy.server.serving import SILENT_S, listening

TASKS = ["classify", "detect", "segment"]
HANG_S = 120.0  # no answer takes that long, on whatever machine
PATIENCE_S = 3.0  # that a server has with slow clients; its worker must do a small job in it on a busy machine, too
TRIES = 3  # of what is held to seconds: a machine that does something else for a moment fails none


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message of an error, which is one line of JSON."""
        assert list(self.json) == ["error"]
        assert "\n" not in self.json["error"]
        return str(self.json["error"])


@dataclass
class Served:
    process: subprocess.Popen[str]
    port: int

    @property
    def worker(self) -> int:
        """The process that predicts."""
        return child_of(self.process.pid)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG_S)
        try:
            connection.request(method, path, body, headers or {})
            found = connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        finally:
            connection.close()

    def predict(self, body: bytes, query: str = "", **headers: str) -> Answer:
        return self.ask("POST", f"/predict{query}", body, {k.replace("_", "-"): v for k, v in headers.items()})

    def figure(self, line: str) -> float:
        """A figure of /metrics; 0 where it is not there yet."""
        for found in self.ask("GET", "/metrics").body.decode().splitlines():
            if found.startswith(f"{line} "):
                return float(found.rpartition(" ")[2])
        return 0.0


Start = Callable[..., Served]


def command(model: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "hwnas", "serve", str(model), *words]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Start a server; it is ended, and its standard error looked at, when the module ends."""
    running: list[subprocess.Popen[str]] = []

    def begin(model: Path, *words: str) -> Served:
        process = subprocess.Popen(command(model, "--port", "0", *words), stdout=subprocess.PIPE, text=True,
                                   stderr=subprocess.PIPE, env=ENVIRONMENT)
        running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), line
        return Served(process, int(line.split()[0].rpartition(":")[2]))

    yield begin
    for process in running:
        process.terminate()
    told = [process.communicate(timeout=HANG_S)[1] for process in running]
    assert not [text for text in told if "Traceback" in text], told


@pytest.fixture(scope="module")
def served(start: Start, bundles: Callable[[str], Path]) -> Callable[[str], Served]:
    """The server of a task, with the usual limits."""
    kept: dict[str, Served] = {}

    def of(task: str) -> Served:
        if task not in kept:
            kept[task] = start(bundles(task), "--threshold", "0.001")
        return kept[task]

    return of


@pytest.fixture(scope="module")
def tight(start: Start, bundles: Callable[[str], Path]) -> Served:
    """A server with a token and a small limit of bytes."""
    return start(bundles("classify"), "--token", "sesame", "--max-mb", "0.1")


@pytest.fixture(scope="module")
def impatient(start: Start, bundles: Callable[[str], Path]) -> Served:
    """A server that waits for nobody."""
    return start(bundles("classify"), "--timeout", str(PATIENCE_S))


def encoded(height: int = 30, width: int = 40, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("task", TASKS)
def test_it_says_what_predict_says(task: str, served: Callable[[str], Served], bundles: Callable[[str], Path],
                                   photo: Path) -> None:
    facts = Predictor.of(bundles(task) / "model.onnx", threshold=0.001).predict(next(frames(photo))).facts
    found = served(task).predict(photo.read_bytes())
    assert found.status == 200
    assert found.json == {**facts, "file": "image"}
    body = (b'--edge\r\nContent-Disposition: form-data; name="image"; filename="photo.png"\r\n\r\n'
            + photo.read_bytes() + b"\r\n--edge--\r\n")
    form = served(task).predict(body, content_type="multipart/form-data; boundary=edge")
    assert form.json == facts


@pytest.mark.parametrize("query", ["?picture=1", "?picture=mask"])
def test_a_picture(query: str, served: Callable[[str], Served], photo: Path) -> None:
    found = served("segment").predict(photo.read_bytes(), query)
    assert found.status == 200
    assert found.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(found.body)) as image:
        assert image.size == (130, 50)
        assert image.mode == ("L" if query.endswith("mask") else "RGB")
    assert served("detect").predict(photo.read_bytes(), "?picture=1").headers["content-type"] == "image/png"


@pytest.mark.parametrize(("task", "query", "part"), [
    ("classify", "?picture=1", "classify"), ("detect", "?picture=mask", "detect"),
    ("detect", "?picture=2", "1 or mask"),
])
def test_a_picture_that_there_is_not(task: str, query: str, part: str, served: Callable[[str], Served]) -> None:
    found = served(task).predict(encoded(), query)
    assert found.status == 400
    assert part in found.error


def test_health_and_figures(served: Callable[[str], Served]) -> None:
    server = served("classify")
    assert server.ask("GET", "/health").json == {"status": "ok", "task": "classify", "classes": 7, "waiting": 0}
    line = 'hwnas_requests_total{path="/predict",status="200"}'
    before, timed = server.figure(line), server.figure("hwnas_request_seconds_count")
    assert server.predict(encoded()).status == 200
    assert server.figure(line) == before + 1
    assert server.figure("hwnas_request_seconds_count") == timed + 1
    assert server.figure("hwnas_queue_length") == 0
    assert server.ask("GET", "/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/", 404), ("GET", "/predict", 405), ("POST", "/metrics", 405), ("PUT", "/nowhere", 404),
])
def test_other_paths_are_told_which_there_are(method: str, path: str, status: int,
                                              served: Callable[[str], Served]) -> None:
    found = served("classify").ask(method, path)
    assert found.status == status
    assert "POST /predict" in found.error


@pytest.mark.parametrize(("body", "status"), [
    (b"", 400), (b"no image at all", 415), (encoded()[:700], 400), (encoded(kind="JPEG")[:400], 400),
])
def test_what_is_no_image(body: bytes, status: int, served: Callable[[str], Served]) -> None:
    found = served("classify").predict(body)
    assert found.status == status
    assert found.error
    assert served("classify").predict(encoded()).status == 200


def test_a_bomb_is_refused_before_it_is_decoded(served: Callable[[str], Served]) -> None:
    server, buffer = served("classify"), io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(buffer, "PNG")
    server.predict(encoded())
    before = peak_kb(server.process.pid)
    for data in (buffer.getvalue(), claiming(60_000, 60_000)):
        found = server.predict(data)
        assert found.status == 413
        assert "at most 32 megapixels" in found.error
    assert peak_kb(server.process.pid) - before < 10_000, "100 megapixels would take 12 MB as bits, 300 as colours"


def claiming(width: int, height: int) -> bytes:
    """A PNG that says it is this large."""
    import struct
    import zlib

    data = encoded()
    head = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]


def peak_kb(pid: int) -> int:
    """The most memory that a process ever held."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("this system does not tell what memory a process holds")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic sesame"},
                                     {"authorization": "Bearer sesame2"}, {"authorization": "sesame"}])
def test_without_the_token_nobody_gets_in(headers: dict[str, str], tight: Served) -> None:
    found = tight.predict(encoded(), **headers)
    assert found.status == 401
    assert found.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer" in found.error
    assert tight.ask("GET", "/metrics", headers=headers).status == 401


def test_with_the_token_everything_is_open(tight: Served) -> None:
    assert tight.predict(encoded(), authorization="Bearer sesame").status == 200
    assert tight.ask("GET", "/metrics", headers={"Authorization": "bearer sesame"}).status == 200
    assert tight.ask("GET", "/health").status == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_request_that_is_too_large(chunked: bool, tight: Served) -> None:
    data = b"x" * 150_000
    body: Any = iter([data[:50_000], data[50_000:]]) if chunked else data
    found = tight.ask("POST", "/predict", body, {"Authorization": "Bearer sesame"})
    assert found.status == 413
    assert "at most 0.1" in found.error


def test_a_client_that_asks_first_is_told_before_it_sends(tight: Served) -> None:
    with socket.create_connection(("127.0.0.1", tight.port), timeout=HANG_S) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sesame\r\nExpect: 100-continue\r\n"
                       b"Content-Length: 99000000\r\n\r\n")
        assert received(client).startswith(b"HTTP/1.1 413 ")


def received(client: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


SLOW = [b"", b"POST /pre", b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nfew"]
TRICKLE = b"POST /predict HTTP/1.1\r\nHost: " + b"a" * 200


def trickled(port: int) -> tuple[bytes, int]:
    """Send one letter after the other; what came back, and before how many letters."""
    with socket.create_connection(("127.0.0.1", port), timeout=0.2) as client:
        for count, letter in enumerate(TRICKLE):
            client.sendall(bytes([letter]))
            with contextlib.suppress(TimeoutError):
                return client.recv(100), count
    return b"", len(TRICKLE)


def test_slow_clients_are_cut_off_and_hold_up_nobody(impatient: Served) -> None:
    """Neither who sends nothing, part of a head or part of a body, nor who sends a letter now and then."""
    begin = time.monotonic()
    with contextlib.ExitStack() as opened:
        pool = opened.enter_context(ThreadPoolExecutor(1))
        trickling = pool.submit(trickled, impatient.port)
        clients = [opened.enter_context(socket.create_connection(("127.0.0.1", impatient.port), timeout=HANG_S))
                   for _ in SLOW]
        for client, sent in zip(clients, SLOW, strict=True):
            client.sendall(sent)
        assert impatient.predict(encoded()).status == 200
        silent, *others = (received(client) for client in clients)
        told, letters = trickling.result()
    assert time.monotonic() - begin > PATIENCE_S / 2
    assert silent == b""
    for found in others:
        assert found.startswith(b"HTTP/1.1 408 ")
        assert "--timeout" in json.loads(found.partition(b"\r\n\r\n")[2])["error"]
    assert told.startswith(b"HTTP/1.1 408 ")
    assert letters < len(TRICKLE), "every letter gained it time"


def test_what_is_not_http_gets_json_too(served: Callable[[str], Served]) -> None:
    with socket.create_connection(("127.0.0.1", served("classify").port), timeout=HANG_S) as client:
        client.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        found = received(client)
    assert found.startswith(b"HTTP/1.1 400 ")
    assert json.loads(found.partition(b"\r\n\r\n")[2])["error"]


END = b"Connection: close\r\n"
GET = b"GET /health HTTP/1.1\r\nHost: a\r\n" + END
POST = b"POST /predict HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sesame\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
ODD = {
    "a header of blanks": (GET + b"a:" + b" " * 15_000 + b"\x01\r\n\r\n", 400),
    "a whole head of 17 KB": (GET + b"a: " + b"b" * 17_000 + b"\r\n\r\n", 431),
    "4,000 headers": (GET + b"a:\r\n" * 4000 + b"\r\n", 431),
    "headers without end": (GET + b"a: b\r\n" * 40_000, 431),
    "a query of 1 MB": (b"GET /health?" + b"a&" * 500_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    "a query of 2 KB": (b"GET /health?" + b"a&" * 1000 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 414),
    "chunks of one byte": (CHUNKED + b"1\r\nx\r\n" * 10_000, 400), "no chunks": (CHUNKED + b"hello\r\n", 400),
    "a trailer of blanks": (CHUNKED + b"1\r\nx\r\n0\r\na:" + b" " * 15_000 + b"\x01\r\n\r\n", 400),
    "length and chunks": (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "a length below 0": (POST + b"Content-Length: -3\r\n\r\nabcd", 400),
    "a length of 19 digits": (POST + b"Content-Length: 9999999999999999999\r\n\r\nabcd", 413),
    "an unknown encoding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "gzip": (POST + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", 415),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), "HTTP/0.9": (b"GET /health\r\n\r\n", 400),
    "bytes beyond ASCII in a header": (GET + b"X-Name: \xff\xfe\r\n\r\n", 200),
    "bytes beyond ASCII in the path": (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a path that is none of UTF-8": (POST.replace(b"/predict", b"/%ff%00") + END + b"\r\n", 404),
    "a WebSocket": (GET.replace(b"close", b"upgrade, close") + b"Upgrade: websocket\r\n\r\n", 200),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", 400), "nothing but zeros": (bytes(100_000), 400),
    "a proxy's connect": (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n" + END + b"\r\n", 401),
    "a token that is no text": (POST.replace(b"sesame", b"\xff\xfe") + END + b"\r\n", 401),
    "a body for /health": (GET + b"Content-Length: 900000\r\n\r\n" + bytes(900_000), 200),
}


@pytest.mark.parametrize("name", ODD)
def test_whatever_is_sent_is_answered_in_one_form(name: str, tight: Served) -> None:
    sent, status = ODD[name]
    with socket.create_connection(("127.0.0.1", tight.port), timeout=HANG_S) as client:
        client.sendall(sent)
        found = received(client)
    head, _, body = found.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert b"content-type: application/json" in head
    assert list(json.loads(body)) == (["error"] if status != 200 else ["status", "task", "classes", "waiting"])
    assert b"defect" not in body
    assert tight.ask("GET", "/health").status == 200


@pytest.mark.parametrize("path", ["/predict", "/metrics", "/openapi.json", "/", "/docs", "/predict/"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_token_comes_before_everything(method: str, path: str, tight: Served) -> None:
    with socket.create_connection(("127.0.0.1", tight.port), timeout=HANG_S) as client:
        client.sendall(f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n".encode())
        found = received(client)  # without a byte of the body
    assert found.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in found
    assert "Bearer" in json.loads(found.partition(b"\r\n\r\n")[2])["error"]


def test_nothing_is_read_ahead_of_an_answer(served: Callable[[str], Served]) -> None:
    with socket.create_connection(("127.0.0.1", served("classify").port), timeout=HANG_S) as client:
        client.sendall((b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n") * 500)
        assert received(client).count(b"HTTP/1.1 200 ") == 1


def test_a_connection_is_used_again(served: Callable[[str], Served]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served("classify").port, timeout=HANG_S)
    for body in (encoded(), iter([encoded()]), encoded(), b"", encoded()):
        connection.request("POST", "/predict", body)
        found = connection.getresponse()
        assert found.status == (200 if body else 400)
        found.read()
        assert connection.sock is not None, "it was closed"
    connection.close()


@pytest.mark.parametrize("head", [
    'Content-Disposition: form-data; name=image; filename="' + ";" * 900_000,
    "Content-Disposition: form-data; name=image; filename*=idna''%ff%ff", "a: b\r\n" * 50_000 + "c: d",
    "Content-Disposition: form-data; name=image; filename*=undefined''%41",
])
def test_one_form_does_not_hold_up_the_others(head: str, served: Callable[[str], Served]) -> None:
    server = served("classify")
    body = b"--b\r\n" + head.encode() + b"\r\n\r\n" + encoded() + b"\r\n--b--\r\n"
    before = busy_s(server.process.pid)
    with ThreadPoolExecutor(1) as pool:
        with frozen(server.worker):
            asked = pool.submit(server.predict, body, content_type="multipart/form-data; boundary=b")
            assert server.ask("GET", "/health").status == 200
        found = asked.result(HANG_S)
    assert busy_s(server.process.pid) - before < 1, "the process that listens worked at the form"
    assert found.status in (200, 400)
    assert found.status == 200 or found.error


def busy_s(pid: int) -> float:
    """Processor time that a process took."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def test_an_image_that_is_too_slow_is_given_up_and_the_next_is_answered(impatient: Served) -> None:
    with frozen(impatient.worker):
        found = impatient.predict(encoded())
    assert found.status == 422
    assert "--timeout" in found.error
    until(lambda: impatient.ask("GET", "/health").json["status"] == "ok", "the model is loaded again")
    assert impatient.predict(encoded()).status == 200


def test_more_connections_than_the_process_may_open_files(bundles: Callable[[str], Path]) -> None:
    pytest.importorskip("resource")
    words = ["bash", "-c", 'ulimit -n 64; exec "$@"', "_", *command(bundles("classify"), "--port", "0")]
    with contextlib.ExitStack() as clients, subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                                             text=True, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        server = Served(process, int(process.stdout.readline().split()[0].rpartition(":")[2]))
        for _ in range(100):
            clients.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=HANG_S))
        assert server.ask("GET", "/health").status == 200
        assert server.predict(encoded()).status == 200
        process.terminate()
        told = process.communicate(timeout=HANG_S)[1]
    assert process.returncode == 0
    assert told == ""


@pytest.mark.slow
def test_sixty_hostile_clients(bundles: Callable[[str], Path], photo: Path) -> None:
    """The benchmark in a small form; its own goal of 100 ms is for a machine that does nothing else."""
    script = Path(__file__).parents[2] / "benchmarks" / "deploy_attack.py"
    for left in reversed(range(TRIES)):
        done = subprocess.run([sys.executable, str(script), str(bundles("classify")), str(photo), "--seconds", "4",
                               "--json"], capture_output=True, text=True, timeout=HANG_S, check=False)
        found = json.loads(done.stdout)
        assert found["goals"]["memory"]
        assert found["stop"]["exit"] == 0
        assert found["honest"]["served"] > 0
        assert "Traceback" not in done.stderr
        if found["health_ms"]["median"] < 500 and found["health_ms"]["p99"] < 3000 and found["goals"]["stop"]:
            return
        assert left, found


def test_a_client_that_leaves_harms_nobody(served: Callable[[str], Served]) -> None:
    server = served("classify")
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port), timeout=HANG_S) as client:
            client.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nfew")
    assert server.predict(encoded()).status == 200


def test_beyond_the_queue_is_503_and_the_rest_is_answered(start: Start, bundles: Callable[[str], Path]) -> None:
    server = start(bundles("classify"), "--workers-queue", "1")
    with ThreadPoolExecutor(8) as pool:
        with frozen(server.worker):
            asked = [pool.submit(server.predict, encoded()) for _ in range(8)]
            refused = [next(answered).result() for answered in [as_completed(asked, HANG_S)] for _ in range(6)]
        statuses = [one.result(HANG_S).status for one in asked]
    assert (statuses.count(200), statuses.count(503)) == (2, 6)
    for answer in refused:
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "--workers-queue" in answer.error
    assert server.figure('hwnas_errors_total{kind="overloaded"}') == 6
    assert server.predict(encoded()).status == 200


def test_a_stop_loses_nothing_that_was_accepted(start: Start, bundles: Callable[[str], Path]) -> None:
    server, count = start(bundles("classify")), 6
    with ThreadPoolExecutor(count) as pool:
        with frozen(server.worker):
            asked = [pool.submit(server.predict, encoded()) for _ in range(count)]
            until(lambda: server.ask("GET", "/health").json["waiting"] == count - 1, "all but one wait")
            server.process.send_signal(signal.SIGTERM)
            until(lambda: not listens(server.port), "it takes no more")
            assert not any(answer.done() for answer in asked)
        statuses = [answer.result(HANG_S).status for answer in asked]
    assert statuses == [200] * count
    assert server.process.wait(HANG_S) == 0


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_with_nothing_to_do_is_quick(number: signal.Signals, start: Start,
                                            bundles: Callable[[str], Path]) -> None:
    for left in reversed(range(TRIES)):
        server = start(bundles("classify"))
        idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=HANG_S)
        idle.request("GET", "/health")
        idle.getresponse().read()  # and the connection stays open
        begin = time.monotonic()
        server.process.send_signal(number)
        assert server.process.wait(HANG_S) == 0
        took = time.monotonic() - begin
        idle.close()
        if took < SILENT_S:
            return
        assert left, f"{took:.1f} s: it waited for a connection that says nothing"


def test_of_two_starts_on_one_port_one_fails_at_once(bundles: Callable[[str], Path]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = command(bundles("classify"), "--port", str(port))
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
            for _ in range(2)]
    lines: list[str] = []
    readers = [threading.Thread(target=lambda p=p: lines.append(p.stdout.readline())) for p in both]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(HANG_S)
    assert sorted(bool(line) for line in lines) == [False, True]
    assert Served(both[0], port).ask("GET", "/health").status == 200
    for process in both:
        process.terminate()
    ends = [(process.communicate(timeout=HANG_S)[1], process.returncode) for process in both]
    assert sorted(code for _, code in ends) == [0, 2]
    (told,) = [text for text, code in ends if code == 2]
    assert f"cannot listen on 127.0.0.1:{port}" in told
    assert "--port" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(("words", "part"), [
    (["--token", " "], "--token is empty"), (["--host", "no.such.host.invalid"], "is no address"),
    (["--port", "99999"], "65535"), (["--host", "203.0.113.1"], "cannot listen on"),
])
def test_a_start_that_cannot_be(words: list[str], part: str, bundles: Callable[[str], Path],
                                capsys: pytest.CaptureFixture[str]) -> None:
    from hwnas.cli import main

    assert main(["serve", str(bundles("classify")), "--port", "0", *words]) == 2
    assert part in capsys.readouterr().err


def test_a_bundle_that_was_changed_is_not_served(made: Callable[[str], Any], tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    from hwnas.cli import main

    bundle = made("classify").bundle(tmp_path / "b")
    (bundle / "model.onnx").write_bytes(made("detect").model)
    assert main(["serve", str(bundle), "--port", "0"]) == 2
    assert "is not the file that was deployed" in capsys.readouterr().err


def test_a_model_alone_is_served_as_well(start: Start, bundles: Callable[[str], Path]) -> None:
    assert start(bundles("detect") / "model.onnx").predict(encoded()).status == 200


def test_a_runtime_that_is_not_here_is_said_and_replaced(bundles: Callable[[str], Path]) -> None:
    words = command(bundles("classify"), "--port", "0", "--runtime", "openvino-npu")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().split()[0].rpartition(":")[2])
        assert Served(process, port).predict(encoded()).status == 200
        process.terminate()
        told = process.communicate(timeout=HANG_S)[1]
    assert told.startswith("warning: openvino-npu cannot run this model here: ONNX Runtime answers")
    assert told.count("\n") == 1


def test_small_answers_are_sent_at_once() -> None:
    """asyncio turns Nagle's algorithm off on sockets that are TCP by name alone; with it an answer takes 40 ms more."""
    with listening("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
