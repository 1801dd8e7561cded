# hwnas in an image, one stage per family of devices:
#
#   docker build --target x86-onnxruntime -t hwnas:x86-onnxruntime .      one
#   docker buildx bake                                                    all, see docker-bake.hcl
#
# What each stage is for, how to run it, and what was tried: docs/docker.md.
#
# Every base has its tag here and a digest argument beside it. The digests are empty because a digest is worth something
# only to whoever looked at the image. To pin what you looked at:
#   docker buildx imagetools inspect python:3.11-slim-bookworm            tells sha256:...
#   docker build --build-arg PYTHON_DIGEST=@sha256:... ...
#
# hadolint global ignore=DL3008,DL3013
# (DL3008: Debian and Ubuntu drop old versions, a pin breaks the build; the base decides. DL3013: the versions are there,
# in arguments, where it does not look.)

ARG PYTHON_BASE=docker.io/library/python:3.11-slim-bookworm
ARG PYTHON_DIGEST=""
ARG CUDA_BASE=docker.io/nvidia/cuda:12.8.1-base-ubuntu24.04
ARG CUDA_DIGEST=""
ARG JP5_BASE=nvcr.io/nvidia/l4t-tensorrt:r8.5.2-runtime
ARG JP5_DIGEST=""
ARG JP6_BASE=nvcr.io/nvidia/l4t-tensorrt:r10.3.0-runtime
ARG JP6_DIGEST=""
ARG JP7_BASE=docker.io/nvidia/cuda:13.0.2-base-ubuntu24.04
ARG JP7_DIGEST=""

# ---- the wheel of hwnas: pure Python, one for all

FROM ${PYTHON_BASE}${PYTHON_DIGEST} AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY targets targets
COPY latency_tables latency_tables
COPY hwnas hwnas
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

# ---- environments that are packed: pip and whatever it needs stay behind in these

FROM ${PYTHON_BASE}${PYTHON_DIGEST} AS pack
RUN python -m venv --without-pip /opt/hwnas
COPY --from=wheel /wheels /wheels

FROM pack AS pack-onnxruntime
ARG ONNXRUNTIME=onnxruntime==1.31.1
RUN set -- /wheels/*.whl && pip --python /opt/hwnas/bin/python install --no-cache-dir "$1[serve]" "$ONNXRUNTIME"

FROM pack-onnxruntime AS pack-openvino
ARG OPENVINO=openvino==2026.4.1
RUN pip --python /opt/hwnas/bin/python install --no-cache-dir "$OPENVINO"

FROM pack AS pack-train
ARG TORCH=torch==2.13.0
# Empty takes the build for CUDA; https://download.pytorch.org/whl/cpu the small one for machines without a GPU.
ARG TORCH_INDEX=""
RUN pip --python /opt/hwnas/bin/python install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$TORCH" \
    && set -- /wheels/*.whl \
    && pip --python /opt/hwnas/bin/python install --no-cache-dir "$1[train,serve]"

FROM pack-train AS pack-dev
WORKDIR /work
COPY . .
RUN pip --python /opt/hwnas/bin/python install --no-cache-dir --editable ".[dev]"

# ---- what the images on Debian share: a user, a place to work, the health check

FROM ${PYTHON_BASE}${PYTHON_DIGEST} AS debian
RUN useradd --uid 1000 --create-home hwnas \
    && install -d -o hwnas -g hwnas /work /home/hwnas/.cache
ENV PATH=/opt/hwnas/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=PASSIVE \
    HWNAS_BUNDLE_CACHE=/home/hwnas/.cache/bundle
WORKDIR /work
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hwnas" \
      org.opencontainers.image.description="A network within your latency budget, measured on your device" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
EXPOSE 8000
HEALTHCHECK --interval=5m --timeout=1m --start-period=1m CMD ["hwnas", "doctor"]
ENTRYPOINT ["hwnas"]
CMD ["doctor"]

# ---- x86 and Raspberry Pi

FROM debian AS x86-onnxruntime
COPY --from=pack-onnxruntime /opt/hwnas /opt/hwnas
LABEL io.hwnas.stage="x86-onnxruntime"
USER 1000:1000

FROM debian AS raspberrypi
COPY --from=pack-onnxruntime /opt/hwnas /opt/hwnas
LABEL io.hwnas.stage="raspberrypi"
USER 1000:1000

FROM debian AS x86-openvino
# For an integrated GPU: --build-arg OPENVINO_DRIVERS=intel-opencl-icd, and run with --device /dev/dri.
ARG OPENVINO_DRIVERS=""
# hadolint ignore=SC2086
RUN if [ -n "$OPENVINO_DRIVERS" ]; then \
        apt-get update && apt-get install -y --no-install-recommends $OPENVINO_DRIVERS && rm -rf /var/lib/apt/lists/*; \
    fi
COPY --from=pack-openvino /opt/hwnas /opt/hwnas
LABEL io.hwnas.stage="x86-openvino"
USER 1000:1000

# ---- NVIDIA GPUs: TensorRT's wheels, which only NVIDIA's own index has, on an image with the CUDA runtime alone

FROM ${CUDA_BASE}${CUDA_DIGEST} AS pack-nvidia-gpu
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv --without-pip /opt/hwnas
COPY --from=wheel /wheels /wheels
ARG CUDA_TENSORRT=tensorrt-cu12==10.13.0.35
RUN set -- /wheels/*.whl \
    && pip --python /opt/hwnas/bin/python install --no-cache-dir --extra-index-url https://pypi.nvidia.com \
        "$1[serve]" "$CUDA_TENSORRT"

FROM ${CUDA_BASE}${CUDA_DIGEST} AS nvidia-gpu
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && (userdel --remove ubuntu || true) \
    && useradd --uid 1000 --create-home hwnas \
    && install -d -o hwnas -g hwnas /work /home/hwnas/.cache
COPY --from=pack-nvidia-gpu /opt/hwnas /opt/hwnas
ENV PATH=/opt/hwnas/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=PASSIVE \
    HWNAS_BUNDLE_CACHE=/home/hwnas/.cache/bundle
WORKDIR /work
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hwnas" \
      org.opencontainers.image.description="A network within your latency budget, measured on your device" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      io.hwnas.stage="nvidia-gpu"
EXPOSE 8000
USER 1000:1000
HEALTHCHECK --interval=5m --timeout=1m --start-period=1m CMD ["hwnas", "doctor"]
ENTRYPOINT ["hwnas"]
CMD ["doctor"]

# ---- JetPack 7: an ARM server to its containers (SBSA), so the recipe above with CUDA 13

FROM ${JP7_BASE}${JP7_DIGEST} AS pack-jetson-jp7
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv --without-pip /opt/hwnas
COPY --from=wheel /wheels /wheels
# JetPack 7.2.2 and newer take TensorRT 11, too: --build-arg JP7_TENSORRT=tensorrt-cu13==11.4.0.106
ARG JP7_TENSORRT=tensorrt-cu13==10.13.3.9
RUN set -- /wheels/*.whl \
    && pip --python /opt/hwnas/bin/python install --no-cache-dir --extra-index-url https://pypi.nvidia.com \
        "$1[serve]" "$JP7_TENSORRT"

FROM ${JP7_BASE}${JP7_DIGEST} AS jetson-jp7
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && (userdel --remove ubuntu || true) \
    && useradd --uid 1000 --create-home hwnas \
    && install -d -o hwnas -g hwnas /work /home/hwnas/.cache
COPY --from=pack-jetson-jp7 /opt/hwnas /opt/hwnas
ENV PATH=/opt/hwnas/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=PASSIVE \
    HWNAS_BUNDLE_CACHE=/home/hwnas/.cache/bundle
WORKDIR /work
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hwnas" \
      org.opencontainers.image.description="A network within your latency budget, measured on your device" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      io.hwnas.stage="jetson-jp7"
EXPOSE 8000
USER 1000:1000
HEALTHCHECK --interval=5m --timeout=1m --start-period=1m CMD ["hwnas", "doctor"]
ENTRYPOINT ["hwnas"]
CMD ["doctor"]

# ---- JetPack 5 and 6: TensorRT's Python bindings there are for Python 3.8 and 3.10 alone, hwnas needs 3.11. So these
# two hold what a bundle and the profiling agent need, which travel with all of hwnas that they use: mount their folder.

FROM ${JP6_BASE}${JP6_DIGEST} AS jetson-jp6
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-numpy python3-pil \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -c "from importlib.util import find_spec as found; exit(None if found('tensorrt') else \
'no Python binding of TensorRT in this base: --build-arg JP6_BASE=nvcr.io/nvidia/l4t-jetpack:r36.4.0')" \
    && useradd --uid 1000 --create-home hwnas \
    && install -d -o hwnas -g hwnas /bundle /home/hwnas/.cache
ENV PYTHONUNBUFFERED=1 \
    HWNAS_BUNDLE_CACHE=/home/hwnas/.cache/bundle
WORKDIR /bundle
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hwnas" \
      org.opencontainers.image.description="What a bundle of hwnas needs on JetPack 6" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      io.hwnas.stage="jetson-jp6"
USER 1000:1000
HEALTHCHECK --interval=5m --timeout=1m --start-period=1m CMD ["python3", "-c", "import numpy, PIL, tensorrt"]
ENTRYPOINT ["python3"]
CMD ["bundle.py", "verify"]

# TensorRT 8.5 is older than hwnas takes (10), so on JetPack 5 bundles run through ONNX Runtime on the CPU. A wheel of
# NVIDIA's for this JetPack can take the place of the one from PyPI: --build-arg JP5_ONNXRUNTIME=https://...whl
FROM ${JP5_BASE}${JP5_DIGEST} AS pack-jetson-jp5
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-pip \
    && rm -rf /var/lib/apt/lists/*
ARG JP5_ONNXRUNTIME=onnxruntime==1.19.2
# The last releases for Python 3.8; numpy 1.24 has dropped names that TensorRT 8.5 uses.
RUN python3 -m pip install --no-cache-dir --target /opt/packages numpy==1.23.5 pillow==10.4.0 "$JP5_ONNXRUNTIME"

FROM ${JP5_BASE}${JP5_DIGEST} AS jetson-jp5
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home hwnas \
    && install -d -o hwnas -g hwnas /bundle /home/hwnas/.cache
COPY --from=pack-jetson-jp5 /opt/packages /opt/packages
ENV PYTHONUNBUFFERED=1 \
    PYTHONPATH=/opt/packages \
    HWNAS_BUNDLE_CACHE=/home/hwnas/.cache/bundle
WORKDIR /bundle
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hwnas" \
      org.opencontainers.image.description="What a bundle of hwnas needs on JetPack 5" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      io.hwnas.stage="jetson-jp5"
USER 1000:1000
HEALTHCHECK --interval=5m --timeout=1m --start-period=1m CMD ["python3", "-c", "import numpy, PIL, onnxruntime"]
ENTRYPOINT ["python3"]
CMD ["bundle.py", "verify", "--runtime", "onnxruntime"]

# ---- machines that search and train, and the project's own checks

FROM debian AS train
COPY --from=pack-train /opt/hwnas /opt/hwnas
LABEL io.hwnas.stage="train"
USER 1000:1000

FROM debian AS dev
COPY --from=pack-dev /opt/hwnas /opt/hwnas
COPY --chown=hwnas:hwnas . /work
LABEL io.hwnas.stage="dev"
USER 1000:1000
ENTRYPOINT []
CMD ["python", "-m", "pytest", "-m", "not slow", "-p", "no:cacheprovider"]
