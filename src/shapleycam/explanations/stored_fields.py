"""Checking the fields of a saved explanation before they are used, because a file may be damaged or edited."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

import torch
from torch import Tensor

from shapleycam.images import Source
from shapleycam.tracing.score_conversion import OutputKind

_ONE_PER_IMAGE = ("target", "utility", "prefix", "curvature", "utility_removed")
_WHOLE_NUMBERS = {"target": "the number of a class", "regions": "the number of a region"}


def check_fields(fields: Mapping[str, Any]) -> None:
    """Check the types, shapes and ranges of an explanation's fields; `images` are saved pictures (b, 3, ..., H, W).

    Raises:
        ValueError: a field is not what `Explanation` describes.
    """
    tensors = {name: value for name, value in fields.items() if isinstance(value, Tensor)}
    for name, tensor in tensors.items():
        if name in _WHOLE_NUMBERS and (tensor.dtype is not torch.int64 or bool((tensor < 0).any())):
            raise ValueError(f"{name} is not {_WHOLE_NUMBERS[name]}")
        if name not in _WHOLE_NUMBERS and not tensor.is_floating_point():
            raise ValueError(f"{name} holds {tensor.dtype}")
        if name not in {*_WHOLE_NUMBERS, "output", "utility"} and not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} holds NaN or infinity")
    _check_shapes(tensors, len(fields["sources"]))
    if not bool(((tensors["heatmap"] >= 0) & (tensors["heatmap"] <= 1)).all()):
        raise ValueError("the heatmap is not between 0 and 1")
    _check_texts(fields)
    for source in fields["sources"]:
        _check_source(source)


def _check_shapes(tensors: Mapping[str, Tensor], count: int) -> None:
    heatmap, values, images = tensors["heatmap"], tensors["values"], tensors["images"]
    # Volumes and videos (b, 3, D, H, W) have a heatmap (b, H, W) if the layer has no depth.
    expected = {
        "heatmap": (count, *images.shape[2:][1 - heatmap.dim() :]),
        "stderr": values.shape,
        "regions": values.shape,
        **dict.fromkeys(_ONE_PER_IMAGE, (count,)),
    }
    for name, shape in expected.items():
        if name in tensors and tensors[name].shape != torch.Size(shape):
            raise ValueError(f"{name} is of shape {tuple(tensors[name].shape)}, expected {tuple(shape)}")
    for name in ("values", "output"):
        if name in tensors and (tensors[name].dim() == 0 or len(tensors[name]) != count):
            raise ValueError(f"{name} is of shape {tuple(tensors[name].shape)}, expected {count} images")
    if images.shape[1] != 3 or heatmap.dim() not in {3, 4} or values.dim() != heatmap.dim() or 0 in heatmap.shape:
        raise ValueError(f"pictures of shape {tuple(images.shape)} with values of shape {tuple(values.shape)}")


def _check_texts(fields: Mapping[str, Any]) -> None:
    labels = fields["labels"] or ()
    if not isinstance(fields["smooth"], list):
        raise ValueError(f"the smoothings are {fields['smooth']!r:.40}, no list")  # noqa: TRY004  # a fault of the file
    notes, cost = fields["notes"], fields["coalition_cost"] or ""
    names = [fields[name] for name in ("method", "layer", "utility_name", "removal", "precision")]
    texts = [*names, fields["remark"] or "", cost, *labels, *fields["smooth"]]
    texts += [sentence for sentences in notes for sentence in sentences] + list(fields["region_names"])
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a name, a label, a smoothing or a note is no text")
    if fields["region_names"] and int(fields["regions"].max()) >= len(fields["region_names"]):
        raise ValueError(f"{len(fields['region_names'])} names of regions for more regions than that")
    if len(notes) not in {0, len(fields["sources"])}:
        raise ValueError(f"notes of {len(notes)} images, expected {len(fields['sources'])}")
    if fields["form"] is not None and fields["form"] not in get_args(OutputKind):
        raise ValueError(f"the form of the output is {fields['form']!r:.40}")


def _check_source(source: Source) -> None:
    box = (0.0, 0.0, 0.0, 0.0) if source.box is None else source.box
    numbers = [side for side in box if isinstance(side, (int, float)) and math.isfinite(side)]
    if not isinstance(source.name, str) or len(numbers) != 4 or len(box) != 4:
        raise ValueError(f"a source is not a name and a box: {source.name!r:.40}, {source.box!r:.80}")
