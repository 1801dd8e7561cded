"""hwnas serve"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli.console import note
from hwnas.cli.options import takes
from hwnas.documents import printable
from hwnas.errors import MissingDependency

NEEDED = ("fastapi", "starlette", "uvicorn", "h11", "prometheus_client", "python_multipart")
EPILOG = "Example: hwnas serve cells-bundle --port 8000"


@takes("runtime", "threads")
def command(
    given: dict[str, Any],
    model: Annotated[Path, typer.Argument(metavar="BUNDLE|RUN|MODEL.onnx", help="What to serve.",
                                          show_default=False)],
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 is every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8000,
    token: Annotated[str | None, typer.Option("--token", envvar="HWNAS_TOKEN", help="Secret that clients send.",
                                              show_default="everybody is let in")] = None,
    queue: Annotated[int, typer.Option("--workers-queue", min=0, max=100_000, help="Predictions that may wait.")] = 16,
    max_mb: Annotated[float, typer.Option("--max-mb", min=0.001, max=2048, help="Largest request, MiB.")] = 20.0,
    max_megapixels: Annotated[float, typer.Option("--max-megapixels", min=0.001, max=1000,
                                                  help="Largest image.")] = 32.0,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, max=86400,
                                           help="Seconds for a request, and its image.")] = 30.0,
    threshold: Annotated[float, typer.Option("--threshold", min=0.0, max=1.0, help="Least score of a box.")] = 0.3,
) -> None:
    """Answer images over HTTP.

    POST /predict, GET /health, GET /metrics, GET /openapi.json; with a token, all but /health ask for it. SIGTERM and
    Ctrl-C end it when everything that was accepted is answered.
    """
    try:
        import python_multipart  # noqa: F401 - of use in the worker's process, missed here

        from hwnas.deploy.server.serving import is_loopback, serve
    except ModuleNotFoundError as err:
        if (err.name or "").partition(".")[0] not in NEEDED:
            raise
        raise MissingDependency(str(err.name), "hwnas serve", 'pip install "hwnas[serve]"') from err
    from hwnas.deploy.server.limits import Limits

    limits = Limits(max(1, int(max_mb * (1 << 20))), max(1, int(max_megapixels * 1e6)), queue, client_s=timeout)

    def warn(text: str) -> None:
        note(f"warning: {text}")

    if token is None and not is_loopback(host):
        warn(f"everybody who reaches {host} may ask: set --token")

    def ready(address: str, task: str) -> None:
        print(printable(f"{address} serves {model} ({task})"), flush=True)

    serve(model, host=host, port=port, token=token, limits=limits, overrides=given, threshold=threshold, ready=ready,
          warn=warn)
