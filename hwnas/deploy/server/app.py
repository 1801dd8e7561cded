"""The paths of the server.

| path           | what                                                                                       |
|----------------|--------------------------------------------------------------------------------------------|
| POST /predict  | bytes of an image, or a form with a file -> JSON as `hwnas predict` gives it for one image; |
|                | ?picture=1 the image with the answer drawn, ?picture=mask the class of every pixel, as PNG  |
| GET /health    | that it answers, and what it serves                                                        |
| GET /metrics   | figures for Prometheus                                                                     |

Every error is JSON: {"error": "rule, value, way out"}.
"""

from __future__ import annotations

import hmac
import io
import logging
import time
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hwnas.deploy.server.bodies import read_body
from hwnas.deploy.server.forms import NAME, first_file, is_form
from hwnas.deploy.server.limits import Limits, Refusal
from hwnas.deploy.server.metrics import CONTENT_TYPE, Metrics
from hwnas.deploy.server.pictures import decoded, refusing
from hwnas.deploy.server.worker import Worker
from hwnas.pipeline.frames import Frame
from hwnas.pipeline.predicting import Prediction, Predictor

PREDICT, HEALTH, METRICS = "/predict", "/health", "/metrics"
_PATHS = f"POST {PREDICT}, GET {HEALTH}, GET {METRICS}"
_GONE = 499  # nobody reads it; it is counted
_WANTED = {None: "", "0": "", "1": "picture", "mask": "mask"}
_BODY = {"requestBody": {"required": True, "content": {
    "image/*": {"schema": {"type": "string", "format": "binary"}},
    "multipart/form-data": {"schema": {"type": "object", "properties": {
        "image": {"type": "string", "format": "binary"}}}}}}}

_log = logging.getLogger("hwnas.serve")


class Service:
    """A model that answers requests.

    Args:
        predictor: the model; used by the worker's thread alone.
        limits: what is accepted.
        token: that /predict and /metrics ask for; None lets everybody in.
    """

    def __init__(self, predictor: Predictor, limits: Limits, token: str | None = None) -> None:
        self._predictor, self._limits = predictor, limits
        self._token = None if token is None else token.strip().encode()
        self.metrics = Metrics((PREDICT, HEALTH, METRICS))
        self.worker = Worker(limits.queue, self.metrics.inferred.add)
        self._readers = 0

    async def predict(self, request: Request, picture: str | None = None) -> Response:
        """What the model says of an image."""
        begin = time.perf_counter()
        try:
            body = await self._read(request)
        except ClientDisconnect:
            return Response(status_code=_GONE)
        self._check_token(request)
        wanted = self._wanted(picture)
        self.worker.check()
        kind = request.headers.get("content-type", "")
        name, data = first_file(body, kind) if is_form(kind) else (NAME, body)
        answer = await self._do(lambda: self._answer(name, data, wanted))
        self.metrics.answered.add(time.perf_counter() - begin)
        return answer

    async def health(self) -> dict[str, Any]:
        """That the server answers, and what it serves."""
        return {"status": "ok", "task": self._predictor.task, "classes": len(self._predictor.classes),
                "waiting": self.worker.waiting}

    async def figures(self, request: Request) -> Response:
        """Figures for Prometheus."""
        self._check_token(request)
        return Response(self.metrics.text(self.worker.waiting), media_type=CONTENT_TYPE)

    async def _read(self, request: Request) -> bytes:
        if self._readers >= self._limits.readers:
            raise Refusal(503, f"{self._readers} requests are being sent, as many as are read at once: try again",
                          {"Retry-After": "1", "Connection": "close"})
        self._readers += 1
        try:
            return await read_body(request, self._limits, keep=self._allowed(request))
        finally:
            self._readers -= 1

    def _check_token(self, request: Request) -> None:
        if not self._allowed(request):
            raise Refusal(401, "this server asks for its token: send the header 'Authorization: Bearer TOKEN'",
                          {"WWW-Authenticate": "Bearer"})

    def _allowed(self, request: Request) -> bool:
        """Whether the token is right, found in a time that does not tell how much of it is."""
        if self._token is None:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("latin-1"), self._token)
        return same and scheme.lower() == "bearer"

    def _wanted(self, picture: str | None) -> str:
        if picture not in _WANTED:
            raise Refusal(400, f"picture must be 1 or mask, not {picture!r}: leave it out for JSON")
        wanted, task = _WANTED[picture], self._predictor.task
        if (wanted and task == "classify") or (wanted == "mask" and task != "segment"):
            raise Refusal(400, f"there is no picture={picture} of a model that does {task}: leave it out for JSON")
        return wanted

    async def _do(self, job: Callable[[], Response]) -> Response:
        try:
            return await self.worker.do(job)
        except Refusal:
            raise
        except Exception as err:
            _log.exception("a prediction failed")
            raise Refusal(500, f"the model could not answer: {type(err).__name__}: {err}: this is a defect of the "
                               "server, see its standard error") from err

    def _answer(self, name: str, data: bytes, wanted: str) -> Response:
        """In the worker: decode, predict, encode."""
        with refusing(self._limits.pixels):
            found = self._predictor.predict(Frame(name, decoded(data, self._limits.pixels), 1))
            return _png(found, wanted) if wanted else JSONResponse(found.facts)


def _png(found: Prediction, wanted: str) -> Response:
    pixels = found.mask if wanted == "mask" else found.picture
    assert pixels is not None  # refused before where the task has none
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return Response(buffer.getvalue(), media_type="image/png")


class Counted:
    """Around an application: counts every answer by its status.

    Args:
        app: what answers.
        metrics: told path and status.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.request(scope["path"], status)


def make_app(service: Service) -> FastAPI:
    """The application of a service."""
    app = FastAPI(title="hwnas", docs_url=None, redoc_url=None)
    app.add_api_route(PREDICT, service.predict, methods=["POST"], openapi_extra=_BODY)
    app.add_api_route(HEALTH, service.health, methods=["GET"])
    app.add_api_route(METRICS, service.figures, methods=["GET"])
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(Counted, metrics=service.metrics)
    return app


async def _refused(request: Request, err: Exception) -> Response:
    assert isinstance(err, Refusal)
    return JSONResponse({"error": err.message}, err.status, err.headers)


async def _unknown(request: Request, err: Exception) -> Response:
    assert isinstance(err, HTTPException)
    message = f"there is no {request.method} {request.url.path}: there are {_PATHS}"
    return JSONResponse({"error": message if err.status_code in (404, 405) else str(err.detail)}, err.status_code,
                        err.headers)


async def _invalid(request: Request, err: Exception) -> Response:
    return JSONResponse({"error": f"the request is not understood: {err}: there are {_PATHS}"}, 422)
