"""Forms, figures, the worker and the limits of the server, each alone."""

from __future__ import annotations

import asyncio
import io
import struct
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hwnas.deploy.server.forms import first_file, is_form
from hwnas.deploy.server.limits import Limits, Refusal
from hwnas.deploy.server.metrics import BOUNDS_S, Metrics
from hwnas.deploy.server.pictures import decoded, refusing
from hwnas.deploy.server.worker import Worker
from hwnas.errors import UsageError

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


def test_figures_are_in_the_form_of_prometheus() -> None:
    metrics = Metrics(("/predict",))
    for path, status in (("/predict", 200), ("/predict", 200), ("/predict", 503), ("/a", 404), ("/b", 404)):
        metrics.request(path, status)
    for seconds in (0.001, 0.003, 99.0):
        metrics.answered.add(seconds)
    lines = metrics.text(waiting=3).splitlines()
    assert 'hwnas_requests_total{path="/predict",status="200"} 2' in lines
    assert 'hwnas_requests_total{path="other",status="404"} 2' in lines
    assert 'hwnas_errors_total{kind="overloaded"} 1' in lines
    assert "hwnas_queue_length 3" in lines
    assert 'hwnas_request_seconds_bucket{le="0.001"} 1' in lines
    assert 'hwnas_request_seconds_bucket{le="10.0"} 2' in lines
    assert 'hwnas_request_seconds_bucket{le="+Inf"} 3' in lines
    assert "hwnas_request_seconds_count 3" in lines
    assert len([line for line in lines if line.startswith("hwnas_inference_seconds_bucket")]) == len(BOUNDS_S) + 1
    named = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {line.split("{")[0].split(" ")[0].replace("_bucket", "").replace("_sum", "").replace("_count", "")
            for line in lines if line[0] != "#"} == named


def test_the_worker_does_one_job_at_a_time_and_sheds_the_rest() -> None:
    gate, running, most = threading.Event(), [0], [0]

    def job() -> int:
        running[0] += 1
        most[0] = max(most[0], running[0])
        gate.wait(30)
        running[0] -= 1
        return 7

    async def all_of_it() -> tuple[list[int], list[Refusal]]:
        took: list[float] = []
        worker = Worker(2, took.append)
        tasks = [asyncio.ensure_future(worker.do(job)) for _ in range(6)]
        await asyncio.sleep(0.05)
        assert worker.waiting == 2
        gate.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        worker.check()
        worker.close()
        assert len(took) == 3
        return [f for f in found if isinstance(f, int)], [f for f in found if isinstance(f, Refusal)]

    done, refused = asyncio.run(all_of_it())
    assert done == [7, 7, 7]
    assert most == [1]
    assert [r.status for r in refused] == [503] * 3
    assert all(int(r.headers["Retry-After"]) >= 1 for r in refused)


def test_a_job_nobody_waits_for_is_done_and_its_place_is_free_again() -> None:
    async def all_of_it() -> list[int]:
        done: list[int] = []
        worker = Worker(0, lambda seconds: None)
        task = asyncio.ensure_future(worker.do(lambda: (threading.Event().wait(0.1), done.append(1))))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(Refusal):
            worker.check()
        await asyncio.sleep(0.3)
        worker.check()
        worker.close()
        return done

    assert asyncio.run(all_of_it()) == [1]


@pytest.mark.parametrize("wrong", [{"request_bytes": 0}, {"pixels": 0}, {"queue": -1}, {"client_s": 0.0}])
def test_limits_that_let_nothing_through(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Limits(**wrong)
