"""Detectors of ultralytics (YOLOv8 and later), an optional package that the user installs (licence: AGPL)."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from functools import partial
from typing import Any

from shapleycam.errors import ModelError, ShapleyCamWarning, warn
from shapleycam.models.building import UNTRAINED, build
from shapleycam.models.detectors import as_box_scores
from shapleycam.models.network import Network


def load_from_ultralytics(name: str, *, pretrained: bool) -> Network:
    """Return the untrained detector that a configuration of ultralytics describes, for example `yolov8n.yaml`.

    Weights files of ultralytics (.pt) are not read, because they are pickles, which run code when they are read.

    Raises:
        ModelError: ultralytics is not installed, the name is not a configuration, or the model is not a detector.
    """
    full_name = f"ultralytics:{name}"
    if not name.endswith((".yaml", ".yml")):
        raise ModelError(
            f"model {full_name!r} is no configuration; expected a name such as ultralytics:yolov8n.yaml. A .pt file of "
            "ultralytics is a pickle, which runs code when it is read: if you trust it, load it in a function of "
            "yours, mine.py:network, that returns ultralytics.YOLO(path).model"
        )
    yolo = _import_yolo(full_name)
    with redirect_stdout(sys.stderr):  # ultralytics prints about itself, and stdout is for results only
        remedy = "give the name of a detector's configuration that ultralytics has, such as ultralytics:yolov8n.yaml"
        model = build(partial(_build, yolo, name), full_name, remedy).eval()
    scores = build(partial(as_box_scores, model), full_name, remedy)
    if pretrained:
        warn(
            ShapleyCamWarning,
            f"model {full_name!r} is untrained: a configuration has no weights; give checkpoint=, a file of them, or "
            "a function of yours that returns the trained model",
        )
    return Network(model, scores.default_preprocess(), scores.default_labels(), full_name, UNTRAINED)


def _build(yolo: Any, name: str) -> Any:
    return yolo(name).model


def _import_yolo(name: str) -> Any:
    """Return ultralytics' class YOLO.

    Raises:
        ModelError: ultralytics is not installed, or cannot be imported.
    """
    try:
        with redirect_stdout(sys.stderr):
            from ultralytics import YOLO
    except ImportError as error:
        reason = "is not installed" if getattr(error, "name", "") == "ultralytics" else f"cannot be imported ({error})"
        raise ModelError(
            f"model {name!r} needs ultralytics, which {reason}; pip install ultralytics (licence: AGPL-3.0)"
        ) from None
    return YOLO
