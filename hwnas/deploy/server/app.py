"""The paths of the server.

| path              | what                                                                                       |
|-------------------|--------------------------------------------------------------------------------------------|
| POST /predict     | bytes of an image, or a form with a file -> JSON as `hwnas predict` gives it for one image; |
|                   | ?picture=1 the image with the answer drawn, ?picture=mask the class of every pixel, as PNG  |
| GET /health       | that it answers, and what it serves; the one path that asks for no token                   |
| GET /metrics      | figures for Prometheus                                                                     |
| GET /openapi.json | this, for programs                                                                         |

Every error is JSON: {"error": "rule, value, way out"}.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from hwnas.deploy.server.bodies import Bodies
from hwnas.deploy.server.gate import DEFECT, Gate
from hwnas.deploy.server.job import Answer, Job
from hwnas.deploy.server.limits import Limits, Refusal
from hwnas.deploy.server.metrics import CONTENT_TYPE, Metrics
from hwnas.deploy.server.worker import Facts, Model, Worker
from hwnas.documents import brief

PREDICT, HEALTH, METRICS, OPENAPI = "/predict", "/health", "/metrics", "/openapi.json"
_PATHS = f"POST {PREDICT}, GET {HEALTH}, GET {METRICS}, GET {OPENAPI}"
_GONE = 499  # nobody reads it; it is counted
_WANTED = {None: "", "0": "", "1": "picture", "mask": "mask"}
_BODY = {"requestBody": {"required": True, "content": {
    "image/*": {"schema": {"type": "string", "format": "binary"}},
    "multipart/form-data": {"schema": {"type": "object", "properties": {
        "image": {"type": "string", "format": "binary"}}}}}}}


class Service:
    """A model that answers requests.

    Args:
        model: what is served.
        limits: what is accepted.
        token: that all but /health ask for; None lets everybody in.

    Attributes:
        app: the application, as uvicorn takes it.
        bodies: what is in memory.
        worker: what answers; it is to be started before the first request.
    """

    def __init__(self, model: Model, limits: Limits, token: str | None = None) -> None:
        self._limits = limits
        self.facts = Facts("", 0)
        self.metrics = Metrics((PREDICT, HEALTH, METRICS, OPENAPI))
        self.worker = Worker(model, limits.queue, limits.client_s, self.metrics.inferred)
        self.bodies = Bodies(limits)
        self.app: ASGIApp = Gate(self._paths(), self.metrics, token, (HEALTH,))

    async def predict(self, request: Request, picture: str | None = None) -> Response:
        """What the model says of an image."""
        begin = time.perf_counter()
        job = Job(request.headers.get("content-type", ""), self._wanted(picture), self._limits.pixels)
        self.worker.check()
        try:
            async with self.bodies.read(request) as body:
                answer = await self._done(request, job, body)
        except ClientDisconnect:
            return Response(status_code=_GONE)
        if answer.status == 200:
            self.metrics.answered(time.perf_counter() - begin)
        return Response(answer.content, answer.status, media_type=answer.media)

    async def health(self) -> Response:
        """That the server answers, and what it serves."""
        alive = self.worker.alive
        return JSONResponse({"status": "ok" if alive else "loading", "task": self.facts.task,
                             "classes": self.facts.classes, "waiting": self.worker.waiting})

    async def figures(self) -> Response:
        """Figures for Prometheus."""
        return Response(self.metrics.text(self.worker.waiting), media_type=CONTENT_TYPE)

    async def _done(self, request: Request, job: Job, body: bytes) -> Answer:
        """The worker's answer; a request whose client leaves while it waits leaves the queue."""
        if not self.worker.busy:
            return await self.worker.do(job, body)
        asked, left = asyncio.ensure_future(self.worker.do(job, body)), asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait((asked, left), return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise ClientDisconnect
            return asked.result()
        finally:
            asked.cancel()
            left.cancel()

    def _wanted(self, picture: str | None) -> str:
        if picture not in _WANTED:
            raise Refusal(400, f"picture must be 1 or mask, not {brief(picture)}: leave it out for JSON")
        wanted = _WANTED[picture]
        if wanted and wanted not in self.facts.pictures:
            raise Refusal(400, f"there is no picture={picture} of a model that does {self.facts.task}: leave it out "
                               "for JSON")
        return wanted

    def _paths(self) -> FastAPI:
        app = FastAPI(title="hwnas", docs_url=None, redoc_url=None, openapi_url=OPENAPI)
        app.add_api_route(PREDICT, self.predict, methods=["POST"], openapi_extra=_BODY, response_class=JSONResponse)
        app.add_api_route(HEALTH, self.health, methods=["GET"])
        app.add_api_route(METRICS, self.figures, methods=["GET"])
        app.add_exception_handler(Refusal, _refused)
        app.add_exception_handler(HTTPException, _unknown)
        app.add_exception_handler(Exception, _failed)
        app.add_exception_handler(RequestValidationError, _invalid)
        app.router.redirect_slashes = False  # /predict/ is unknown, and no reason to send an image twice
        return app


async def _gone(request: Request) -> None:
    """Wait until the client of a request, whose body was read, is gone."""
    message: Any = {}
    while message.get("type") != "http.disconnect":
        message = await request.receive()


async def _refused(request: Request, err: Exception) -> Response:
    assert isinstance(err, Refusal)
    return JSONResponse({"error": err.message}, err.status, err.headers)


async def _failed(request: Request, err: Exception) -> Response:
    return JSONResponse({"error": DEFECT}, 500)


async def _unknown(request: Request, err: Exception) -> Response:
    assert isinstance(err, HTTPException)
    message = f"there is no {brief(request.method)} {brief(request.url.path)}: there are {_PATHS}"
    return JSONResponse({"error": message if err.status_code in (404, 405) else str(err.detail)}, err.status_code,
                        err.headers)


async def _invalid(request: Request, err: Exception) -> Response:
    return JSONResponse({"error": f"the request is not understood: there are {_PATHS}"}, 422)
