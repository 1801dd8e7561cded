"""How tests start several processes that train together, on the loopback."""

from __future__ import annotations

import os
import sys
import tempfile

WORLD = 2


def launched(*words: str) -> tuple[list[str], dict[str, str]]:
    """The command that starts Python with `words` in two processes, and its environment."""
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": loopback}
    # Whatever this machine's name is, and who can resolve it; its logs are left where they go with the tests.
    here = ["--standalone", "--local-addr=127.0.0.1", "--log-dir", tempfile.gettempdir()]
    launch = ["-m", "torch.distributed.run", *here, f"--nproc-per-node={WORLD}"]
    return [sys.executable, *launch, *words], environment
