"""How tests start several processes that train together, on the loopback."""

from __future__ import annotations

import os
import sys

WORLD = 2


def launched(*words: str) -> tuple[list[str], dict[str, str]]:
    """The command that starts Python with `words` in two processes, and its environment."""
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": loopback}
    here = ["--standalone", "--local-addr=127.0.0.1"]  # whatever this machine's name is, and who can resolve it
    launch = ["-m", "torch.distributed.run", *here, f"--nproc-per-node={WORLD}"]
    return [sys.executable, *launch, *words], environment
