"""Image classifiers of transformers, from the Hugging Face hub or a folder."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from torch import nn

from shapleycam.errors import ModelError
from shapleycam.models.building import OTHER_WEIGHTS, UNTRAINED, build
from shapleycam.models.network import Network, Transform
from shapleycam.models.transforms import as_transform

_NUMBERED_LABEL = re.compile(r"LABEL_\d+")
_NO_CODE = {"trust_remote_code": False}
"""Without it transformers asks on the terminal whether the code of a repository may be run."""
_REMEDY = "give the name of an image classifier on the hub, or a folder that save_pretrained wrote"


def load_from_hugging_face(name: str, *, pretrained: bool) -> Network:
    """Return the image classifier `name` of the Hugging Face hub, or the one in the folder of that path.

    Its weights are read from safetensors, or else from a file of tensors alone; no code of the hub is run.

    Raises:
        ModelError: transformers is not installed, or the model cannot be had.
    """
    full_name = f"hf:{name}"
    transformers = import_transformers(full_name)
    classifiers = transformers.AutoModelForImageClassification
    if pretrained:
        load = partial(classifiers.from_pretrained, name, output_loading_info=True, **_NO_CODE)
        model, info = build(load, full_name, f"{_REMEDY}; {OTHER_WEIGHTS}")
        _check_complete(info, full_name)
    else:
        config = build(partial(transformers.AutoConfig.from_pretrained, name, **_NO_CODE), full_name, _REMEDY)
        model = build(partial(classifiers.from_config, config, **_NO_CODE), full_name, _REMEDY)
    origin = f"transformers, {name}" if pretrained else UNTRAINED
    preprocess = _load_processor(transformers, name)
    return Network(model.eval(), preprocess, labels_from_config(model), full_name, origin)


def import_transformers(name: str) -> Any:
    """Return the transformers package.

    Raises:
        ModelError: it is not installed; the message names the model that needs it.
    """
    try:
        import transformers
    except ImportError:
        raise ModelError(
            f"model {name!r} needs transformers, which is not installed; pip install 'shapleycam[hf]'"
        ) from None
    return transformers


def labels_from_config(model: nn.Module) -> tuple[str, ...] | None:
    """Return the class names in a transformers model's config; None for other models, and for numbers as names."""
    names = getattr(getattr(model, "config", None), "id2label", None)
    if not isinstance(names, dict) or sorted(names) != list(range(len(names))):
        return None
    ordered = tuple(str(names[index]) for index in range(len(names)))
    return None if all(map(_NUMBERED_LABEL.fullmatch, ordered)) else ordered


def _check_complete(info: dict[str, Any], name: str) -> None:
    """Refuse files without all weights: transformers draws the missing ones at random, and goes on with a warning.

    A random classifier would be explained as if it were trained (docs/decisions.md, "hf: refuses incomplete weights").
    """
    missing = sorted(info["missing_keys"])
    if missing:
        raise ModelError(
            f"model {name!r}: {len(missing)} weights are not in the file (first: {missing[0]}), so it is not a trained "
            "image classifier; give one, or pretrained=False for an untrained network"
        )


def _load_processor(transformers: Any, name: str) -> Transform | None:
    try:
        load = partial(transformers.AutoImageProcessor.from_pretrained, name, **_NO_CODE)
        return as_transform(load())
    except (OSError, ValueError):  # none was saved with the model: photographs then need preprocess=
        return None
