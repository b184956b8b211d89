"""A model of an evaluation: `EvaluatedModel` as the user gave it, and `LoadedModel` after loading."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from shapleycam.errors import ImageError, ModelError, OptionError
from shapleycam.experiments.datasets.annotations.base import Annotations
from shapleycam.experiments.datasets.classes import class_numbers, warn_of_doubtful_classes
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.decoding import decode_image
from shapleycam.experiments.image_metadata import ImageMetadata
from shapleycam.experiments.layer_evaluator import LayerEvaluator
from shapleycam.experiments.plain_data import preprocess_as_data
from shapleycam.experiments.protocol import Protocol
from shapleycam.experiments.provenance import code_hash, weights_hash
from shapleycam.experiments.removal_name import check_same_reference
from shapleycam.explaining.explainer import Explainer
from shapleycam.models import zoo
from shapleycam.models.greyscale import takes_greyscale, to_greyscale
from shapleycam.models.network import Network, Transform
from shapleycam.models.preprocess import Preprocess
from shapleycam.models.resolve import resolve_network
from shapleycam.printable import printable_name
from shapleycam.tracing.random_numbers import restore_torch_generators, seed_torch

_TRIED_IMAGES = 32
"""Maximum number of images that are tried to find the layers, if only images show the size of the network's input."""
Model: TypeAlias = "str | nn.Module | Network"


@dataclass(frozen=True)
class LoadedModel:
    """A loaded model.

    Attributes:
        preprocess: the preprocessing of photographs.
        evaluators: the evaluators of the model, one for each layer.
        record: the model's record in the manifest.
    """

    preprocess: Transform
    evaluators: list[LayerEvaluator]
    record: dict[str, Any]


@dataclass(frozen=True)
class EvaluatedModel:
    """A model as the user gave it, with its protocol and dataset.

    It can be pickled, so that other machines load the model themselves; a `LoadedModel` stays in its process.
    """

    model: Model
    protocol: Protocol
    dataset: Dataset
    annotations: Annotations | None = None
    pretrained: bool = True
    checkpoint: Path | None = None
    device: str | torch.device | None = None

    @property
    def name(self) -> str:
        """Return the name of the model in the results."""
        if isinstance(self.model, str):
            return printable_name(self.model)
        network = self.model if isinstance(self.model, Network) else None
        name = (network.name if network else "") or type(network.model if network else self.model).__name__
        return printable_name(name)

    def load(self) -> LoadedModel:
        """Load the model, and find its layers.

        Raises:
            ShapleyCamError: the model cannot be loaded, or does not work with the protocol.
        """
        network = self._load_network()
        if network.preprocess is None:
            raise ModelError(
                f"model {network.name!r} does not say how it wants photographs; give "
                "shapleycam.Network(model, preprocess=...), or a protocol with preprocess="
            )
        evaluators = self._evaluators(network)
        for evaluator in evaluators:
            self._find_layer(evaluator, network.preprocess)
        return LoadedModel(network.preprocess, evaluators, self._record(network, evaluators))

    def choose_device(self) -> str | torch.device | None:
        """Return the device of the model: the given one; else, for a model given by name, the GPU if there is one."""
        if self.device is None and torch.cuda.is_available() and isinstance(self.model, str):
            return "cuda"
        return self.device

    def _load_network(self) -> Network:
        """Return the network with the protocol's preprocessing, or its own if the protocol has none."""
        # A network without published weights has random ones. With the protocol's seed they are the same in each
        # process; the caller's random state is restored.
        with restore_torch_generators():
            seed_torch(self.protocol.seed)
            network = (
                zoo.load_network(self.model, self.checkpoint, pretrained=self.pretrained)
                if isinstance(self.model, str)
                else resolve_network(self.model)
            )
        transform = self._transform(network)
        return replace(
            network, preprocess=to_greyscale(transform) if transform and takes_greyscale(network.model) else transform
        )

    def _transform(self, network: Network) -> Transform | None:
        """Return the preprocessing that the dataset requires; else that of the protocol, or the network's own.

        Raises:
            OptionError: the dataset requires that its pictures are not cropped, and the network's crop is not known, or
                the protocol has a preprocessing.
        """
        size = self.dataset.input_size
        if size is None:
            return self.protocol.preprocess or network.preprocess
        if self.protocol.preprocess is not None or not isinstance(network.preprocess, Preprocess):
            raise OptionError(
                f"the pictures of {self.dataset.origin} have to be seen whole; leave preprocess= out of the protocol, "
                "and give a network with a shapleycam.Preprocess"
            )
        return replace(network.preprocess, resize=size, crop=size)

    def _evaluators(self, network: Network) -> list[LayerEvaluator]:
        """Return the evaluators of the model, one for each layer of the protocol."""
        dataset = self.dataset
        described = (dataset.labels, network.labels, _count_classes(network), dataset.classes)
        classes = class_numbers(*described)
        if self.protocol.class_rule != "prediction":
            warn_of_doubtful_classes(*described)
        if self.protocol.class_rule != "prediction" and not any(label is not None for label in classes):
            example = next((repr(label) for label in dataset.labels if label is not None), "none")
            raise OptionError(
                f"class rule {self.protocol.class_rule!r} needs labels that {self.name} knows; the dataset's are such "
                f"as {example}: give a CSV with class numbers, or use 'prediction'"
            )
        check_same_reference(self.protocol.removal_name, self.protocol.removal, self.protocol.reference)
        evaluators = []
        for layer in self.protocol.layers:
            utility, device = self.protocol.utilities[0], self.choose_device()
            explainer = Explainer(
                network,
                layer=layer,
                utility=utility,
                device=device,
                removal=self.protocol.removal,
                reference=list(self.protocol.reference) or None,
                precision=self.protocol.precision,
            )
            metadata = ImageMetadata(dataset.names, dataset.labels, classes, self.annotations, explainer.labels)
            evaluators.append(LayerEvaluator(self.name, layer, explainer, self.protocol, metadata))
        return evaluators

    def _find_layer(self, evaluator: LayerEvaluator, preprocess: Transform) -> None:
        """Let the explainer find its layer: on noise if the input's size is known, else on the first readable image."""
        if isinstance(preprocess, Preprocess):
            evaluator.explainer.find_layer()
            return
        reason: Exception | None = None
        for index in islice(range(len(self.dataset)), _TRIED_IMAGES):
            image = decode_image(self.dataset, preprocess, index)
            if image.error is not None:
                reason = reason or ImageError(image.error)
                continue
            try:
                evaluator.explainer.trace(evaluator.to_batch([image]), [self.protocol.methods[0]])
            except (ImageError, ModelError) as error:  # perhaps only for this image
                reason = error
            else:
                return
        raise reason or ImageError("the dataset has no images; expected at least one")

    def _record(self, network: Network, evaluators: list[LayerEvaluator]) -> dict[str, Any]:
        """Return the model's record in the manifest, by which a different model is refused later.

        A model is identified by its weights, its printed structure and the file that builds it (docs/decisions.md).
        `origin` is only information and may change.
        """
        return {
            "origin": network.origin,
            "weights": weights_hash(network.model),
            "code": code_hash(network.model, self.model if isinstance(self.model, str) else None),
            "layers": {evaluator.layer: evaluator.explainer.layer for evaluator in evaluators},
            "preprocess": preprocess_as_data(network.preprocess),
            "labels": None if network.labels is None else list(network.labels),
        }


def _count_classes(network: Network) -> int | None:
    """Return the number of a model's classes: of its labels, or of its outputs for noise; None if it is not known."""
    if network.labels is not None:
        return len(network.labels)
    if not isinstance(network.preprocess, Preprocess):
        return None
    size = (1, len(network.preprocess.mean), *network.preprocess.crop)
    noise = torch.rand(
        size, generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu"
    )  # not the caller's random state
    output = Explainer(network).output(noise)
    return output.shape[1] if isinstance(output, torch.Tensor) and output.dim() == 2 else None
