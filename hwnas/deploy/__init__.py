"""How a model leaves for its device and answers there: bundles, their check, and an HTTP server. No torch.

    deploy_run(RunFolder.open("runs/cells"), Path("cells-bundle"))
    verify(Bundle(Path("cells-bundle"))).verdict()

`hwnas.deploy.runner` travels in every bundle and runs under Python 3.8 with numpy and the runtime alone;
`hwnas.deploy.server.serving` needs `pip install "hwnas[serve]"`.
"""

from hwnas.deploy.making import Deployed, deploy_run, write_bundle
from hwnas.deploy.runner.bundle import Bundle
from hwnas.deploy.runner.checking import Finding, verify

__all__ = ["Bundle", "Deployed", "Finding", "deploy_run", "verify", "write_bundle"]
