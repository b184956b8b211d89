"""Image classifiers of transformers, from the hub or a folder."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from torch import nn

from shapleycam.errors import ModelError
from shapleycam.models.building import OTHER_WEIGHTS, UNTRAINED, built
from shapleycam.models.network import Network, Transform
from shapleycam.models.transforms import as_transform

_NAMELESS = re.compile(r"LABEL_\d+")
_WHERE = "give the name of an image classifier on the hub, or a folder that save_pretrained wrote"


def load_from_hugging_face(name: str, *, pretrained: bool) -> Network:
    """The image classifier `name` of the Hugging Face hub, or in the folder of that path.

    Its weights are read from safetensors, or else from a file of tensors alone; no code of the hub is run.

    Raises:
        ModelError: transformers is not installed, or the model cannot be had.
    """
    transformers, full = import_transformers(f"hf:{name}"), f"hf:{name}"
    classifiers = transformers.AutoModelForImageClassification
    if pretrained:
        model, info = built(partial(_published, classifiers, name), full, f"{_WHERE}; {OTHER_WEIGHTS}")
        _check_complete(info, full)
    else:
        config = built(partial(transformers.AutoConfig.from_pretrained, name), full, _WHERE)
        model = built(partial(classifiers.from_config, config), full, _WHERE)
    origin = f"transformers, {name}" if pretrained else UNTRAINED
    return Network(model.eval(), _processor(transformers, name), labels_from_config(model), full, origin)


def import_transformers(name: str) -> Any:
    """The transformers package.

    Raises:
        ModelError: it is not installed.
    """
    try:
        import transformers
    except ImportError:
        raise ModelError(
            f"model {name!r} needs transformers, which is not installed; pip install 'shapleycam[hf]'"
        ) from None
    return transformers


def labels_from_config(model: nn.Module) -> tuple[str, ...] | None:
    """The class names in a transformers model's config; None for other models, and where it just numbers them."""
    names = getattr(getattr(model, "config", None), "id2label", None)
    if not isinstance(names, dict) or sorted(names) != list(range(len(names))):
        return None
    ordered = tuple(str(names[index]) for index in range(len(names)))
    return None if all(map(_NAMELESS.fullmatch, ordered)) else ordered


def _published(classifiers: Any, name: str) -> tuple[nn.Module, dict[str, Any]]:
    found: tuple[nn.Module, dict[str, Any]] = classifiers.from_pretrained(name, output_loading_info=True)
    return found


def _check_complete(info: dict[str, Any], name: str) -> None:
    """Weights that are not in the file transformers draws at random, and goes on."""
    missing = sorted(info["missing_keys"])
    if missing:
        raise ModelError(
            f"model {name!r}: {len(missing)} weights are not in the file (first: {missing[0]}), so it is not a trained "
            "image classifier; give one, or pretrained=False for an untrained network"
        )


def _processor(transformers: Any, name: str) -> Transform | None:
    try:
        return as_transform(transformers.AutoImageProcessor.from_pretrained(name))
    except (OSError, ValueError):  # none was saved with the model: photographs then need preprocess=
        return None
