"""Image classifiers and detectors of transformers, from the Hugging Face hub or a folder."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from shapleycam.errors import ModelError
from shapleycam.models.building import OTHER_WEIGHTS, UNTRAINED, build
from shapleycam.models.detectors.whole_photograph import as_detection_transform
from shapleycam.models.labels import labels_from_config
from shapleycam.models.network import Network, Transform
from shapleycam.models.transforms import as_transform

_NO_CODE = {"trust_remote_code": False}
"""Without this option transformers asks on the terminal whether to run the repository's code."""
_REMEDY = "give the name of an image classifier or a detector on the hub, or a folder that save_pretrained wrote"


def load_from_hugging_face(name: str, *, pretrained: bool) -> Network:
    """Return an image classifier or detector; `name` is its name on the Hugging Face hub, or the path of a folder.

    The model's configuration says whether it is a classifier or a detector. Its weights are read from safetensors, or
    else from a file that contains only tensors; no code from the hub is run.

    Raises:
        ModelError: transformers is not installed, or the model cannot be loaded.
    """
    full_name, remedy = f"hf:{name}", f"{_REMEDY}; {OTHER_WEIGHTS}" if pretrained else _REMEDY
    transformers = import_transformers(full_name)
    config = build(partial(transformers.AutoConfig.from_pretrained, name, **_NO_CODE), full_name, remedy)
    is_detector = config.model_type in _detector_types()
    models = transformers.AutoModelForObjectDetection if is_detector else transformers.AutoModelForImageClassification
    if pretrained:
        load = partial(models.from_pretrained, name, config=config, output_loading_info=True, **_NO_CODE)
        model, info = build(load, full_name, remedy)
        _check_complete(info, full_name, "detector" if is_detector else "image classifier")
    else:
        model = build(partial(models.from_config, config, **_NO_CODE), full_name, remedy)
    origin = f"transformers, {name}" if pretrained else UNTRAINED
    preprocess = _load_processor(transformers, name, as_detection_transform if is_detector else as_transform)
    return Network(model.eval(), preprocess, labels_from_config(model), full_name, origin)


def _detector_types() -> Collection[str]:
    """Return the model types that transformers has detectors for; it has no classifier for any of them."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES

    types: Collection[str] = MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES.keys()
    return types


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


def _check_complete(info: dict[str, Any], name: str, kind: str) -> None:
    """Refuse a file that lacks weights: transformers would initialise them at random, with only a warning.

    A random head would be explained as if it were trained (docs/decisions.md, "hf: refuses incomplete weights").
    """
    missing = sorted(info["missing_keys"])
    if missing:
        raise ModelError(
            f"model {name!r}: {len(missing)} weights are not in the file (first: {missing[0]}), so it is not a trained "
            f"{kind}; give one, or pretrained=False for an untrained network"
        )


def _load_processor(transformers: Any, name: str, as_own_transform: Callable[[Any], Transform]) -> Transform | None:
    try:
        load = partial(transformers.AutoImageProcessor.from_pretrained, name, **_NO_CODE)
        return as_own_transform(load())
    except (OSError, ValueError):  # no processor was saved with the model: photographs then need preprocess=
        return None
