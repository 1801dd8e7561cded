"""Forms, figures, the worker and the limits of the server, each alone."""

from __future__ import annotations

import asyncio
import contextlib
import io
import struct
import zlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.requests import Request

from hwnas.deploy.server.bodies import Bodies
from hwnas.deploy.server.forms import first_file, is_form
from hwnas.deploy.server.job import Answer, Job
from hwnas.deploy.server.limits import Limits, Refusal
from hwnas.deploy.server.metrics import BOUNDS_S, Metrics
from hwnas.deploy.server.pictures import decoded, refusing
from hwnas.deploy.server.scans import check_structure
from hwnas.deploy.server.worker import Model, Worker
from hwnas.errors import InputError, UsageError
from tests.freezing import frozen
from tests.timing import least, processor_s

KIND = 'multipart/form-data; boundary="x-yz"'


def form(*parts: tuple[str, bytes]) -> bytes:
    return b"".join(b"--x-yz\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n" for head, content in parts) \
        + b"--x-yz--\r\n"


@given(st.binary(max_size=200))
def test_the_first_file_of_a_form_comes_out_byte_for_byte(content: bytes) -> None:
    body = form(('Content-Disposition: form-data; name="a"', b"no file"),
                ('content-disposition: form-data; name="image"; filename="a/b\\\\phö.jpg"\r\nContent-Type: image/jpeg',
                 content))
    if b"\r\n--x-yz" in content:  # a client must choose another boundary
        return
    assert first_file(body, KIND) == ("phö.jpg", content)


def test_a_part_without_a_name_is_taken_where_there_is_no_file() -> None:
    assert first_file(form(('Content-Disposition: form-data; name="a"', b"1")), KIND) == ("image", b"1")


@pytest.mark.parametrize("body", [
    b"", b"--x-yz--\r\n", b"--x-yz\r\nno blank line\r\n--x-yz--\r\n", form(("a: b", b"1"))[:-6],
    form(("a: b", b"1")).replace(b"x-yz", b"other"),
])
def test_a_broken_form_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        first_file(body, KIND)
    assert refused.value.status == 400


@given(st.binary(max_size=300), st.text(max_size=60))
def test_no_form_raises_anything_but_a_refusal(body: bytes, kind: str) -> None:
    for content_type in (KIND, f"multipart/form-data; {kind}"):
        try:
            first_file(body, content_type)
        except Refusal as err:
            assert err.status == 400  # noqa: PT017 - either way is right


BIG = 900_000
ATTACKS = {
    "semicolons": form(('Content-Disposition: form-data; name=image; filename="' + ";" * BIG, b"x")),
    "short semicolons": form(('Content-Disposition: form-data; filename="' + ";" * 4000, b"x")),
    "quotes": form(("Content-Disposition: form-data; filename=" + '"' * 4000, b"x")),
    "backslashes": form(('Content-Disposition: form-data; filename="' + "\\" * 4000 + '"', b"x")),
    "a long header": form(("a" * BIG + ": b", b"x")), "many headers": form(("a: b\r\n" * 100_000, b"x")),
    "many parts": form(*[("a: b", b"")] * 100_000), "no colon": form(("a" * BIG, b"x")),
    "nearly the boundary": b"--x-yz\r\n\r\n" + b"\r\n--x-y" * 300_000 + b"\r\n--x-yz--",
    "the boundary, not at an end": b"--x-yz\r\n\r\n" + b"\r\n--x-yza" * 300_000 + b"\r\n--x-yz--",
    "line ends": b"\r\n" * BIG, "dashes": b"-" * BIG, "carriage returns": b"--x-yz\r\n\r\n" + b"\r" * BIG,
    "behind the end": form(("a: b", b"x")) + b"\r\n--x-y" * 300_000,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_form_takes_long(attack: str) -> None:
    def parse() -> None:
        with contextlib.suppress(Refusal):
            first_file(ATTACKS[attack], KIND)

    assert least(0.5, lambda: processor_s(parse)) < 0.5


@pytest.mark.parametrize("name", ["filename*=idna''%ff", "filename*=rot13''%41", "filename*0*=base64''a",
                                  "filename*=undefined''x; filename=safe.png", 'filename="\x1b[31m\x07"',
                                  "filename=" + "a" * 3000])
def test_a_client_chooses_no_codec_and_no_control_characters(name: str) -> None:
    told, content = first_file(form((f"Content-Disposition: form-data; name=image; {name}", b"1")), KIND)
    assert content == b"1"
    assert told.isprintable()
    assert len(told) <= 255


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=",
                                  "multipart/form-data; boundary=" + "x" * 71, "multipart/form-data;" + ";" * 16_000])
def test_a_boundary_that_is_none(kind: str) -> None:
    with pytest.raises(Refusal, match=r"boundary|longer"):
        first_file(form(("a: b", b"1")), kind)


def test_what_a_form_is() -> None:
    assert is_form("Multipart/Form-Data; boundary=a")
    assert not is_form("image/png")
    assert not is_form("")


def png(width: int, height: int) -> bytes:
    """A PNG whose header announces more than it holds."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


def saved(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def pixels(data: bytes, most: int) -> np.ndarray:
    with refusing(most):
        return decoded(data, most).pixels()


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))


@pytest.mark.parametrize(("data", "status"), [
    (b"", 400), (b"no image", 415), (saved(NOISE, "GIF"), 415), (png(50_000, 50_000), 413), (png(10_000, 10_000), 413),
    (png(100, 11), 413), (png(30, 30), 400), (saved(NOISE, "PNG")[:2000], 400), (saved(NOISE, "JPEG")[:900], 400),
    (b"\x89PNG\r\n\x1a\n", 415),
])
def test_an_image_that_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(Refusal) as refused:
        pixels(data, 1000 if status == 413 else 10_000)
    assert refused.value.status == status
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_an_image_that_is_taken(kind: str) -> None:
    assert pixels(saved(NOISE, kind), 2400).shape == (40, 60, 3)


def test_an_image_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    buffer = io.BytesIO()
    NOISE.save(buffer, "JPEG", exif=exif)
    assert pixels(buffer.getvalue(), 2400).shape == (60, 40, 3)


@pytest.mark.parametrize(("data", "part"), [
    (saved(NOISE, "JPEG")[:-2] + b"\xff\xda\0\x02" * 65, "at most 32 scans"),
    (saved(NOISE, "JPEG")[:2] + b"\xff" * 100_000 + saved(NOISE, "JPEG")[2:], "at most 2000 parts before its pixels"),
    (saved(NOISE, "JPEG")[:2] + b"\xff\xfe\0\x02" * 9000 + saved(NOISE, "JPEG")[2:], "at most 2000 parts"),
    (saved(NOISE, "JPEG")[:2] + b"\xff\xfe\0\x02" + b"\0" * 9000 + saved(NOISE, "JPEG")[2:], "at most 2000 parts"),
    (saved(NOISE, "JPEG")[:2] + b"\xff\0" * 9000 + saved(NOISE, "JPEG")[2:], "at most 2000 parts"),
    (saved(NOISE, "PNG")[:33] + (b"\0\0\0\0tEXt" + b"\0" * 4) * 20_000, "at most 20000 parts"),
    (saved(NOISE, "PNG")[:33] + b"\0" * 12 * 20_000, "at most 20000 parts"),
])
def test_pictures_that_are_long_to_decode(data: bytes, part: str) -> None:
    with pytest.raises(Refusal, match=part):
        check_structure(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_usual_pictures_have_few_parts(kind: str) -> None:
    check_structure(saved(NOISE, kind))
    buffer = io.BytesIO()
    NOISE.save(buffer, "JPEG", progressive=True)
    check_structure(buffer.getvalue())


def test_figures_are_in_the_form_of_prometheus() -> None:
    metrics = Metrics(("/predict",))
    for path, status in (("/predict", 200), ("/predict", 200), ("/predict", 503), ("/a", 404), ("/b", 404)):
        metrics.request(path, status)
    for seconds in (0.001, 0.003, 99.0):
        metrics.answered(seconds)
    lines = metrics.text(waiting=3).decode().splitlines()
    assert 'hwnas_requests_total{path="/predict",status="200"} 2.0' in lines
    assert 'hwnas_requests_total{path="other",status="404"} 2.0' in lines
    assert 'hwnas_errors_total{kind="overloaded"} 1.0' in lines
    assert "hwnas_queue_length 3.0" in lines
    assert 'hwnas_request_seconds_bucket{le="0.001"} 1.0' in lines
    assert 'hwnas_request_seconds_bucket{le="10.0"} 2.0' in lines
    assert 'hwnas_request_seconds_bucket{le="+Inf"} 3.0' in lines
    assert "hwnas_request_seconds_count 3.0" in lines
    assert len([line for line in lines if line.startswith("hwnas_inference_seconds_bucket")]) == len(BOUNDS_S) + 1
    named = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {line.split("{")[0].split(" ")[0].replace("_bucket", "").replace("_sum", "").replace("_count", "")
            for line in lines if line[0] != "#"} == named


def test_two_servers_in_one_process_count_apart() -> None:
    first, second = Metrics(("/a",)), Metrics(("/a",))
    first.request("/a", 200)
    assert b'hwnas_requests_total{path="/a",status="200"} 1.0' in first.text(0)
    assert b"hwnas_requests_total{" not in second.text(0)


def bodies(limits: Limits) -> tuple[Bodies, Callable[[list[bytes], float], Coroutine[Any, Any, bytes]]]:
    """Bodies, and how one of them is sent in pieces, with a pause behind each."""
    held = Bodies(limits)

    async def sent(pieces: list[bytes], pause_s: float) -> bytes:
        left = list(pieces)

        async def receive() -> dict[str, Any]:
            piece = left.pop(0)
            await asyncio.sleep(pause_s)
            return {"type": "http.request", "body": piece, "more_body": bool(left)}

        async with held.read(Request({"type": "http", "headers": []}, receive)) as body:
            return body

    return held, sent


def test_a_body_comes_out_as_it_was_sent_and_gives_its_room_back() -> None:
    _, sent = bodies(Limits(request_bytes=100))

    async def many() -> None:
        for _ in range(50):
            assert await sent([b"a" * 50, b"b" * 50], 0) == b"a" * 50 + b"b" * 50
            with pytest.raises(Refusal, match="at most"):
                await sent([b"a" * 101], 0)

    asyncio.run(many())


def test_where_room_is_short_the_body_that_is_longest_on_its_way_goes() -> None:
    _, sent = bodies(Limits(request_bytes=100))

    async def all_of_it() -> list[Any]:
        return await asyncio.gather(*(sent([b"x" * 99, b"x"], 0.05) for _ in range(9)), return_exceptions=True)

    found = asyncio.run(all_of_it())
    refused = [f for f in found if isinstance(f, Refusal)]
    assert [r.status for r in refused] == [503]
    assert isinstance(found[0], Refusal)
    assert found[1:] == [b"x" * 100] * 8


def test_a_body_that_is_too_slow() -> None:
    """Its first piece is there at once, the second never comes."""
    async def sent() -> None:
        pieces = [{"type": "http.request", "body": b"few", "more_body": True}]

        async def receive() -> dict[str, Any]:
            return pieces.pop() if pieces else await asyncio.Future()

        async with Bodies(Limits(client_s=0.05)).read(Request({"type": "http", "headers": []}, receive)):
            pass

    with pytest.raises(Refusal) as refused:
        asyncio.run(sent())
    assert refused.value.status == 408
    assert "3 bytes came" in refused.value.message


JOB = Job()
SMALL = saved(NOISE, "PNG")


def working(model: Path, queue: int, most_s: float, act: Callable[[Worker], Coroutine[Any, Any, None]]) -> list[float]:
    """Start a worker, do something with it, end it; the seconds that its jobs took."""
    took: list[float] = []

    async def all_of_it() -> None:
        worker = Worker(Model(model), queue, most_s, took.append)
        try:
            assert (await worker.start()).task == "classify"
            await act(worker)
        finally:
            await worker.close()

    asyncio.run(all_of_it())
    return took


def pid_of(worker: Worker) -> int:
    """The process that does the jobs."""
    assert worker._process is not None
    return worker._process.pid


def test_the_worker_does_one_job_at_a_time_and_sheds_the_rest(bundles: Callable[[str], Path]) -> None:
    async def act(worker: Worker) -> None:
        tasks = [asyncio.ensure_future(worker.do(JOB, SMALL)) for _ in range(6)]
        await asyncio.sleep(0)
        assert worker.waiting == 2
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [f.status for f in found if isinstance(f, Answer)] == [200] * 3
        refused = [f for f in found if isinstance(f, Refusal)]
        assert [r.status for r in refused] == [503] * 3
        assert all(int(r.headers["Retry-After"]) >= 1 for r in refused)
        worker.check()

    assert len(working(bundles("classify"), 2, 60, act)) == 3


def test_a_job_nobody_waits_for_leaves_the_queue_but_is_done_once_begun(bundles: Callable[[str], Path]) -> None:
    async def act(worker: Worker) -> None:
        with frozen(pid_of(worker)):
            first, second = (asyncio.ensure_future(worker.do(JOB, SMALL)) for _ in range(2))
            await asyncio.sleep(0)
            assert worker.waiting == 1
            second.cancel()
            first.cancel()
            await asyncio.wait((first, second))
            assert worker.busy
        assert (await worker.do(JOB, SMALL)).status == 200
        assert not worker.busy

    assert len(working(bundles("classify"), 2, 60, act)) == 2


def test_a_job_that_takes_too_long_is_ended_and_the_next_one_is_answered(bundles: Callable[[str], Path]) -> None:
    async def act(worker: Worker) -> None:
        with frozen(pid_of(worker)), pytest.raises(Refusal, match="--timeout") as refused:
            await worker.do(JOB, SMALL)
        assert refused.value.status == 422
        worker._most_s = 60
        assert (await worker.do(JOB, SMALL)).status == 200

    working(bundles("classify"), 2, 0.02, act)


def test_a_process_that_breaks_is_started_again(bundles: Callable[[str], Path]) -> None:
    async def act(worker: Worker) -> None:
        assert worker._process is not None
        with frozen(pid_of(worker)):
            task = asyncio.ensure_future(worker.do(JOB, SMALL))
            await asyncio.sleep(0)
            worker._process.kill()
            with pytest.raises(Refusal, match="started again") as refused:
                await task
        assert refused.value.status == 500
        while not worker.alive:
            await asyncio.sleep(0.05)
        assert (await worker.do(JOB, SMALL)).status == 200

    working(bundles("classify"), 2, 60, act)


def test_a_model_that_cannot_be_loaded_is_an_error_of_its_own_class(tmp_path: Path) -> None:
    async def start() -> None:
        worker = Worker(Model(tmp_path / "absent.onnx"), 1, 60, lambda seconds: None)
        try:
            await worker.start()
        finally:
            await worker.close()

    with pytest.raises(InputError, match=r"absent\.onnx"):
        asyncio.run(start())


@pytest.mark.parametrize("wrong", [{"request_bytes": 0}, {"pixels": 0}, {"queue": -1}, {"client_s": 0.0}])
def test_limits_that_let_nothing_through(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Limits(**wrong)
