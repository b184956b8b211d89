"""One model of an evaluation: loaded with the protocol's preprocessing, and made ready at each layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from shapleycam.errors import ImageError, ModelError, OptionError
from shapleycam.experiments.datasets.annotations.base import Annotations
from shapleycam.experiments.datasets.classes import class_numbers
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.decoding import decode
from shapleycam.experiments.layer_evaluator import LayerEvaluator
from shapleycam.experiments.protocol import Protocol, preprocess_as_data
from shapleycam.experiments.provenance import code_hash, weights_hash
from shapleycam.explaining.explainer import Explainer
from shapleycam.models import zoo
from shapleycam.models.greyscale import takes_greyscale, to_greyscale
from shapleycam.models.network import Network, Transform
from shapleycam.models.preprocess import Preprocess
from shapleycam.models.resolve import resolve_network

_TRIED = 32
"""With so many images at most it is tried to find the layers."""
Model: TypeAlias = "str | nn.Module | Network"


@dataclass(frozen=True)
class LoadedModel:
    """A model that can be measured: its preprocessing, itself at each layer, and what results note of it."""

    network: Network
    preprocess: Transform
    layer_evaluators: list[LayerEvaluator]
    facts: dict[str, Any]


@dataclass(frozen=True)
class EvaluatedModel:
    """A model, and what it is measured on; where it is sent to other machines, they load it themselves."""

    model: Model
    protocol: Protocol
    dataset: Dataset
    annotations: Annotations | None = None
    pretrained: bool = True
    checkpoint: Path | None = None
    device: str | torch.device | None = None

    @property
    def name(self) -> str:
        """What the model is called in the results."""
        if isinstance(self.model, str):
            return self.model
        network = self.model if isinstance(self.model, Network) else None
        return (network.name if network else "") or type(network.model if network else self.model).__name__

    def ready(self) -> LoadedModel:
        """The model, loaded, its layers found.

        Raises:
            ShapleyCamError: it cannot be loaded, or cannot be measured by the protocol.
        """
        network = self._load()
        if network.preprocess is None:
            raise ModelError(
                f"model {network.name!r} does not say how it wants photographs; give "
                "shapleycam.Network(model, preprocess=...), or a protocol with preprocess="
            )
        layer_evaluators = self._layer_evaluators(network)
        for evaluator in layer_evaluators:
            self._settle_layer(evaluator, network.preprocess)
        return LoadedModel(network, network.preprocess, layer_evaluators, self._facts(network, layer_evaluators))

    def on(self) -> str | torch.device | None:
        """Where the model runs: as `Explainer` has it, where a named one goes to the GPU, if there is one."""
        if self.device is None and torch.cuda.is_available() and isinstance(self.model, str):
            return "cuda"
        return self.device

    def _load(self) -> Network:
        """With the protocol's preprocessing or its own; one without published weights is always the same."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.protocol.seed)
            network = (
                zoo.load_network(self.model, self.checkpoint, pretrained=self.pretrained)
                if isinstance(self.model, str)
                else resolve_network(self.model)
            )
        transform = self.protocol.preprocess or network.preprocess
        return replace(
            network, preprocess=to_greyscale(transform) if transform and takes_greyscale(network.model) else transform
        )

    def _layer_evaluators(self, network: Network) -> list[LayerEvaluator]:
        """The model at each layer."""
        labels, given = network.labels, self.dataset
        classes = class_numbers(given.labels, labels, _outputs(network), given.classes)
        if self.protocol.class_rule != "prediction" and not any(label is not None for label in classes):
            shown = next((repr(label) for label in given.labels if label is not None), "none")
            raise OptionError(
                f"class rule {self.protocol.class_rule!r} needs labels that {self.name} knows; the dataset's are such "
                f"as {shown}: give a CSV with class numbers, or use 'prediction'"
            )
        return [
            LayerEvaluator(
                self.name,
                layer,
                Explainer(network, layer=layer, utility=self.protocol.utilities[0], device=self.on()),
                self.protocol,
                given.names,
                given.labels,
                classes,
                self.annotations,
            )
            for layer in self.protocol.layers
        ]

    def _settle_layer(self, evaluator: LayerEvaluator, preprocess: Transform) -> None:
        """Find the layer, by noise of the size that the preprocessing makes, or else by the first images."""
        if isinstance(preprocess, Preprocess):
            _ = evaluator.explainer.layer
            return
        reason: Exception | None = None
        for index in islice(range(len(self.dataset)), _TRIED):
            image = decode(self.dataset, preprocess, index)
            if image.error is not None:
                reason = reason or ImageError(image.error)
                continue
            try:
                evaluator.explainer.trace(evaluator.batch([image]), [self.protocol.methods[0]])
            except (ImageError, ModelError) as error:  # of this image, perhaps
                reason = error
            else:
                return
        raise reason or ImageError("the dataset has no images; expected at least one")

    def _facts(self, network: Network, layer_evaluators: list[LayerEvaluator]) -> dict[str, Any]:
        """What the results note of a model, so that another one is refused; `origin` is for the reader."""
        return {
            "origin": network.origin,
            "weights": weights_hash(network.model),
            "code": code_hash(network.model, self.model if isinstance(self.model, str) else None),
            "layers": {evaluator.layer: evaluator.explainer.layer for evaluator in layer_evaluators},
            "preprocess": preprocess_as_data(network.preprocess),
            "labels": None if network.labels is None else list(network.labels),
        }


def _outputs(network: Network) -> int | None:
    """How many classes a model has: as many as labels, otherwise as it gives for noise; None if that is not known."""
    if network.labels is not None:
        return len(network.labels)
    if not isinstance(network.preprocess, Preprocess):
        return None
    found = Explainer(network).output(torch.rand(1, len(network.preprocess.mean), *network.preprocess.crop))
    return found.shape[1] if isinstance(found, torch.Tensor) and found.dim() == 2 else None
