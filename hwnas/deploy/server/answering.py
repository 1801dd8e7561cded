"""From what a client sent to what it is told: form, image, model, JSON or picture. In the worker's process."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from hwnas.deploy.runner.bundle import MODEL, SUMS, Bundle
from hwnas.deploy.server.forms import NAME, first_file, is_form
from hwnas.deploy.server.job import JSON, PNG, Answer, Job, as_json, told
from hwnas.deploy.server.limits import Refusal
from hwnas.deploy.server.pictures import decoded, refusing
from hwnas.deploy.server.scans import check_structure
from hwnas.imaging.picture import Decoded
from hwnas.pipeline.exported.image_sources import Frame
from hwnas.pipeline.exported.predicting import Prediction, Predictor

_log = logging.getLogger("hwnas.serve")


def loaded(path: Path, overrides: Mapping[str, object], threshold: float) -> Predictor:
    """The model at `path`, warmed up.

    Raises:
        InputError: no model there, or files of the bundle were changed.
        RunError: the run has no exported model.
    """
    model, fields = path, {"batch": 1, **{name: value for name, value in overrides.items() if value is not None}}
    if path.is_dir() and (path / SUMS).exists():
        target = Bundle(path).facts["target"]
        model = path / MODEL
        fields = {name: target[name] for name in ("runtime", "precision", "threads")} | fields
    predictor = Predictor.of(model, overrides=fields, threshold=threshold)
    blank = Decoded(np.zeros((64, 64, 3), np.uint8))
    predictor.predict(Frame("warm-up", blank, 1))  # compiles for one image, where that is needed
    return predictor


def seen(predictor: Predictor, job: Job, body: bytes) -> Prediction:
    """What the model says of an image.

    Raises:
        Refusal: no image, a damaged one, or one that is refused.
    """
    name, data = first_file(body, job.kind) if is_form(job.kind) else (NAME, body)
    check_structure(data)
    with refusing(job.pixels):
        return predictor.predict(Frame(name, decoded(data, job.pixels), 1))


def answer(predictor: Predictor, job: Job, body: bytes) -> Answer:
    """What the model says of an image; every failure is an answer, too."""
    try:
        found = seen(predictor, job, body)
        with refusing(job.pixels):  # drawing decodes the image at its own size
            return _picture(found, job.wanted) if job.wanted else Answer(200, JSON, as_json(found.facts))
    except Refusal as err:
        return Answer(err.status, JSON, told(err.message))
    except MemoryError:
        return Answer(413, JSON, told("this image needs more memory than there is: send a smaller one"))
    except Exception as err:
        _log.exception("a prediction failed")
        return Answer(500, JSON, told(f"the model could not answer ({type(err).__name__}): the server's standard error "
                                      "says where"))


def _picture(found: Prediction, wanted: str) -> Answer:
    pixels = found.mask if wanted == "mask" else found.picture
    assert pixels is not None  # refused before where the task has none
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(buffer, "PNG")
    return Answer(200, PNG, buffer.getvalue())
