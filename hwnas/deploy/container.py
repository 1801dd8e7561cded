"""The Dockerfile of a bundle: an image of its files, numpy and the runtime, and how Docker runs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import metadata

from hwnas.target import Target

DOCKERFILE = "Dockerfile"
IGNORED = "Dockerfile.dockerignore"  # and not .dockerignore, which `cp bundle/*` would leave behind
PYTHON = "docker.io/library/python:3.11-slim-bookworm"
CUDA = "docker.io/nvidia/cuda:12.8.1-base-ubuntu24.04"
CUDA_TENSORRT, JP7_TENSORRT = "tensorrt-cu12==10.13.0.35", "tensorrt-cu13==10.13.3.9"
JP5_ONNXRUNTIME, JP5_NUMPY, JP5_PILLOW = "onnxruntime==1.19.2", "numpy==1.23.5", "pillow==10.4.0"
ON_PYTHON = ("x86-onnxruntime", "x86-openvino", "raspberrypi")
_GPU = "onnxruntime-gpu[cuda,cudnn]"

_APT = "RUN apt-get update && apt-get install -y --no-install-recommends {} && rm -rf /var/lib/apt/lists/*\n"
_PIP = 'RUN pip install --no-cache-dir "numpy>=1.26" "pillow>=10.3" "$RUNTIME"\n'
_NVIDIA = _APT.format("python3 python3-pip") + """\
RUN pip install --break-system-packages --no-cache-dir --extra-index-url https://pypi.nvidia.com \\
    "numpy>=1.26" "pillow>=10.3" "$RUNTIME"
"""
_JP5 = _APT.format("python3 python3-pip") + f"""\
RUN python3 -m pip install --no-cache-dir {JP5_NUMPY} {JP5_PILLOW} "$RUNTIME"
"""
_JP6 = _APT.format("python3 python3-numpy python3-pil") + """\
RUN python3 -c "from importlib.util import find_spec as found; exit(None if found('tensorrt') else \\
'no Python binding of TensorRT in this base: --build-arg BASE=nvcr.io/nvidia/l4t-jetpack:r36.4.0')"
"""

_TEXT = """# An image of this bundle, see README.md. A digest pins the base: --build-arg DIGEST=@sha256:...
# hadolint global ignore=DL3008,DL3013
ARG BASE={base}
ARG DIGEST=""
FROM ${{BASE}}${{DIGEST}}
{runtime}{setup}RUN useradd --uid 10001 --no-create-home hwnas && install -d -o hwnas -g hwnas /var/cache/hwnas
COPY . /bundle
ENV HWNAS_BUNDLE_CACHE=/var/cache/hwnas PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /bundle
HEALTHCHECK --interval=1h --timeout=10m CMD ["python3", "bundle.py", "verify"{otherwise}]
ENTRYPOINT ["python3", "/bundle/bundle.py"]
CMD ["verify"{otherwise}]
"""
_README = """
Or in a container, with nothing to install but Docker:

    docker build -t hwnas-bundle .
    docker run --rm {flags}hwnas-bundle
    docker run --rm {flags}-v "$PWD:/photos:ro" hwnas-bundle predict{words} /photos/photo.jpg

The second command verifies.{kept}{otherwise}
"""
_KEPT = " `-v hwnas-cache:/var/cache/hwnas` keeps what is compiled from one start to the next."
_OTHERWISE = (" In the container {} answers, on the CPU: the TensorRT of this device is older than hwnas takes, so "
              "nothing is timed.")


@dataclass(frozen=True)
class Container:
    """How a bundle is packed for one target.

    Args:
        base: image that it starts from.
        setup: instructions that install Python, numpy and the runtime.
        package: what pip installs as the runtime; '' where the base brings it.
        flags: words of `docker run` that let the container reach the device, each with a space behind it.
        otherwise: the runtime that answers where the target's own does not run in a container; '' where it does.
    """

    base: str
    setup: str
    package: str = ""
    flags: str = ""
    otherwise: str = ""

    def dockerfile(self) -> str:
        """The file."""
        runtime = f'ARG RUNTIME="{self.package}"\n' if self.package else ""
        other = f', "--runtime", "{self.otherwise}"' if self.otherwise else ""
        return _TEXT.format(base=self.base, runtime=runtime, setup=self.setup, otherwise=other)

    def readme(self, compiles: bool) -> str:
        """The commands to type, for the bundle's README.

        Args:
            compiles: whether the runtime keeps what it compiles.
        """
        words = f" --runtime {self.otherwise}" if self.otherwise else ""
        return _README.format(flags=self.flags, words=words, kept=_KEPT if compiles and not words else "",
                              otherwise=_OTHERWISE.format(self.otherwise) if words else "")


_ON_JETSON = {
    "jetson-jp5": Container("", _JP5, JP5_ONNXRUNTIME, "--runtime nvidia ", "onnxruntime"),
    "jetson-jp6": Container("", _JP6, flags="--runtime nvidia "),
    "jetson-jp7": Container("", _NVIDIA, JP7_TENSORRT, "--runtime nvidia "),
}
_ON_NVIDIA = {"tensorrt": CUDA_TENSORRT, "onnxruntime-cuda": _GPU, "onnxruntime-tensorrt": _GPU}
_ON_INTEL = {
    "openvino-gpu": '--device /dev/dri --group-add "$(stat -c %g /dev/dri/renderD128)" ',
    "openvino-npu": '--device /dev/accel --group-add "$(stat -c %g /dev/accel/accel0)" ',
}
_DRIVERS = {"openvino-gpu": _APT.format("intel-opencl-icd")}


def container_of(target: Target) -> Container | None:
    """How a bundle for this target is packed; None where its device has no containers that could run it.

    A target of the user's that names no stage gets the base of its runtime.
    """
    docker, runtime = target.docker, target.runtime
    if docker is not None and docker.stage is None:
        return None
    if docker is not None and docker.stage in _ON_JETSON and runtime == "tensorrt":
        return replace(_ON_JETSON[docker.stage], base=docker.base_image or "")
    if runtime in _ON_NVIDIA:
        base = docker.base_image if docker and docker.stage == "nvidia-gpu" else None
        return Container(base or CUDA, _NVIDIA, _ON_NVIDIA[runtime], "--gpus all ")
    base = docker.base_image if docker and docker.stage in ON_PYTHON else None
    setup = _DRIVERS.get(runtime, "") + _PIP
    return Container(base or PYTHON, setup, _pinned(runtime), _ON_INTEL.get(runtime, ""))


def _pinned(runtime: str) -> str:
    """The package of a runtime, in the version that checked the bundle where that is installed here."""
    package = runtime.partition("-")[0]
    try:
        return f"{package}=={metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return package
