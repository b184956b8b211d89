"""The layers of an explainer, given by name, or by a rule that is resolved by running the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import nn

from shapleycam.errors import InputModuleWarning, LayerError, warn
from shapleycam.explaining.inputs import Batch
from shapleycam.explaining.layer_passage import LayerPassage
from shapleycam.layers import BEFORE_POOL, RULES, ImageKind, find_layer, parse_layer_rule
from shapleycam.models.network import Transform
from shapleycam.models.preprocess import Preprocess
from shapleycam.models.resolve import name_without_wrappers
from shapleycam.tracing.calls import layer_name
from shapleycam.tracing.input_layer import INPUT, is_input
from shapleycam.tracing.modules import submodule
from shapleycam.tracing.output_reading import OutputSelector

LayerChoice: TypeAlias = "str | nn.Module | Sequence[str | nn.Module] | None"


class LayerSearch:
    """The layers that a user chose.

    Rules ("before-pool", "last-conv") are resolved by running the model on the first image. The result is stored, so
    that all later images are explained at the same layers.

    Args:
        layer: the user's choice of one or several layers.
        found_by_rules: for some networks, the layer that each rule finds.
        model: the model that has the layers.
    """

    def __init__(self, layer: LayerChoice, found_by_rules: Mapping[str, str], model: nn.Module) -> None:
        self._found_by_rules = found_by_rules
        self._passages: list[LayerPassage] = []
        self._names = [_name_or_rule(choice, found_by_rules, model) for choice in _choices(layer)]

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self._names)

    def __str__(self) -> str:
        """Return the names joined by " + "; a layer that is not known yet is shown as its rule."""
        return " + ".join(self._names)

    @property
    def is_done(self) -> bool:
        """Return whether all names are known."""
        return not any(name in RULES for name in self._names)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the known names, without rules."""
        return tuple(name for name in self._names if name not in RULES)

    def at(self, layer: LayerChoice, model: nn.Module) -> LayerSearch:
        """Return the search for other layers of the same model."""
        return LayerSearch(layer, self._found_by_rules, model)

    def find(self, model: nn.Module, batch: Batch, select: OutputSelector, image_kind: ImageKind) -> tuple[str, ...]:
        """Return the layers' dotted names; run the model on the first image to resolve rules.

        Warn if an image of the batch also reaches the output without passing a layer that a rule found.

        Raises:
            LayerError: no layer fits the rule.
        """
        if not self.is_done:
            rules, first = self._names, batch.first
            self._names = [
                find_layer(model, first.images, name, select, image_kind, first.extra) if name in RULES else name
                for name in rules
            ]
            pairs = zip(self._names, rules, strict=True)
            self._passages = [LayerPassage(name, rule) for name, rule in pairs if rule in RULES]
        for passage in self._passages:
            passage.check(model, batch, select)
        return tuple(self._names)

    def known(self) -> str:
        """Return the dotted names joined by " + ", without running the model.

        Raises:
            LayerError: a rule is not resolved yet.
        """
        if not self.is_done:
            raise LayerError("the layer is not known yet; call find_layer(), explain some images, or give layer=")
        return str(self)


def _choices(layer: LayerChoice) -> Sequence[str | nn.Module]:
    if layer is None:
        return [BEFORE_POOL]
    return [layer] if isinstance(layer, (str, nn.Module)) or not isinstance(layer, Sequence) else layer or [BEFORE_POOL]


def _name_or_rule(layer: str | nn.Module, found_by_rules: Mapping[str, str], model: nn.Module) -> str:
    """Return a layer's name, or its rule if the rule must be resolved by running the model."""
    rule = parse_layer_rule(layer, dict(model.named_modules()))
    if rule is not None:
        return found_by_rules.get(rule, rule)
    name = layer_name(model, name_without_wrappers(layer, model) if isinstance(layer, str) else layer)
    if isinstance(layer, str) and name == INPUT and not is_input(model, name):
        warn(
            InputModuleWarning,
            f"layer {INPUT!r} is the model's own module of that name, {type(submodule(model, name)).__name__}, and not "
            f"the image; for the image explain Sequential(model), whose layer {INPUT!r} it is",
        )
    return name


def noise_batch(model: nn.Module, preprocess: Transform | None) -> Batch:
    """Return a batch of one image of noise, of the size that the preprocessing makes.

    Raises:
        LayerError: the preprocessing does not declare a size.
    """
    if not isinstance(preprocess, Preprocess):
        raise LayerError("the layer is found at the first images; explain some, or give layer=")
    weight = next(model.parameters(), torch.empty(0, dtype=torch.float32, device="cpu"))
    size = (1, len(preprocess.mean), *preprocess.crop)
    noise = torch.rand(size, generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu")
    return Batch(noise.to(weight.device), ())
