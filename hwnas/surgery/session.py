"""A network ready to be run as it is, to look at what it gives; timing is done on devices, elsewhere."""

from __future__ import annotations

import onnxruntime

from hwnas.documents import brief
from hwnas.errors import InputError


def session_of(model: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """A network ready to be run as it is on this machine, by ONNX Runtime.

    Raises:
        InputError: ONNX Runtime refuses it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as err:  # the library's errors share no base class of their own
        raise InputError(f"ONNX Runtime does not read the model: {brief(str(err).strip().splitlines()[0])}") from err
