"""`Detector`: explain the score that a detector gives one box; the box is chosen once and held fixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.cams.table import DEFAULT_METHOD
from shapleycam.errors import OptionError
from shapleycam.explaining.box_finder import BoxFinder
from shapleycam.explaining.detection import BoxChoice
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.layer_search import LayerChoice
from shapleycam.explaining.photographs import PreparedPhotograph
from shapleycam.explanations.comparison import Comparison
from shapleycam.explanations.explanation import Explanation
from shapleycam.game.game import MEMORY
from shapleycam.images import Photo
from shapleycam.layers import RULES
from shapleycam.models.detectors.whole_photograph import as_detection_transform
from shapleycam.models.network import Network
from shapleycam.models.resolve import default_device, move_to_device, resolve_network
from shapleycam.smoothing import SmoothChoice, parse_smoothing
from shapleycam.smoothing.table import AUGMENT
from shapleycam.tracing.isolation import device_of
from shapleycam.utilities import box_score
from shapleycam.values.options import EstimatorOptions


class Detector(BoxFinder):
    """Explains the boxes of one detector: the utility is the score of a class at the box's anchor.

    The box is chosen once, on the whole image; its anchor, query or proposal is the same for all coalitions. (A utility
    that takes the best box of each coalition would silently switch to another object where this object is absent.)

    Args:
        model: a detector of torchvision (Faster, Mask and Keypoint R-CNN, RetinaNet, FCOS, SSD), of transformers
            (DETR, YOLOS, RT-DETR and related models) or of ultralytics (its `.model`), a name or a `Network`. The
            model is not changed.
        layer: as in `Explainer`, with the names of the detector's own modules.
        preprocess: a function from an RGB PIL image to a tensor (c, h, w). None takes the detector's own preprocessing:
            torchvision's resizing and padding, or ultralytics' letterbox of 640 pixels. A module of transformers has
            none: give its image processor (`AutoImageProcessor.from_pretrained(...)`), or name the model `hf:NAME`.
        labels: class names in the order of the scores. None takes the detector's own; torchvision's models have none,
            but their weights do (`weights.meta["categories"]`).
        device: as in `Explainer`.
        memory: as in `Explainer`.

    Attributes:
        preprocess: the function from an RGB PIL image to the network's input; None if it is not known.
        labels: the class names; None if the classes have numbers only.
        name: the model's name in results.

    Raises:
        ModelError: the model is not a supported detector.

    Examples:
        >>> import torch, torchvision, shapleycam
        >>> _ = torch.manual_seed(0)
        >>> build = torchvision.models.detection.ssdlite320_mobilenet_v3_large
        >>> model = build(weights=None, weights_backbone=None, num_classes=3)
        >>> detector = shapleycam.Detector(model, labels=("nothing", "cat", "dog"))
        >>> image = torch.rand(3, 240, 320)
        >>> best = detector.detect(image)[0]
        >>> explanation = detector.explain(image, best, "hirescam")
        >>> abs(float(explanation.utility[0]) - best.score) < 1e-3, explanation.label() == best.label
        (True, True)
    """

    def __init__(
        self,
        model: str | nn.Module | Network,
        layer: LayerChoice = None,
        preprocess: Any = None,
        labels: Sequence[str] | None = None,
        device: str | torch.device | None = None,
        memory: int = MEMORY,
    ) -> None:
        def make(network: Network) -> Explainer:
            layers = own_layer_names(layer, network.model)
            return Explainer(network, layers, box_score(), None, labels, device, memory)

        target_device = default_device() if device is None and isinstance(model, str) else device
        network = resolve_network(model)
        if preprocess is not None:
            network = replace(network, preprocess=as_detection_transform(preprocess))
        if target_device is not None:
            moved = move_to_device(network.model, target_device, device_of(network.model))
            network = replace(network, model=moved)
        super().__init__(network, make)

    @classmethod
    def of_network(cls, network: Network, make: Callable[[Network], Explainer]) -> Detector:
        """Return the detector of a network; `make` returns an explainer with the utility `box_score()`.

        `make` is called once for each box, with a network of `models.detectors.BoxScores`.
        """
        detector = cls.__new__(cls)
        BoxFinder.__init__(detector, network, make)
        return detector

    def explain(
        self,
        image: Photo | Tensor | PreparedPhotograph,
        box: BoxChoice = None,
        method: str = DEFAULT_METHOD,
        target: int | str | None = None,
        *,
        options: EstimatorOptions | None = None,
    ) -> Explanation:
        """Explain one box of an image by one method; the arguments are those of `choose`.

        The values are shares of the class's score at the box. Methods that need second derivatives do not work with
        R-CNN, which has none.

        Raises:
            ShapleyCamError: with one line that says what was found, what was expected and what to do.
        """
        return self.compare(image, [method], box, target, options=options)[method]

    def compare(
        self,
        image: Photo | Tensor | PreparedPhotograph,
        methods: Sequence[str],
        box: BoxChoice = None,
        target: int | str | None = None,
        *,
        options: EstimatorOptions | None = None,
        curvature: bool = False,
        smooth: SmoothChoice = None,
    ) -> Comparison:
        """Explain one box of an image by several methods; arguments and errors as in `explain`."""
        if AUGMENT.name in parse_smoothing(smooth):
            raise OptionError(
                "smooth='augment' explains the mirror image too, where the box is at another place; use smooth='noise' "
                "or smooth='eigen'"
            )
        prepared = image if isinstance(image, PreparedPhotograph) else self.prepare(image)
        chosen = self.choose(prepared, box, target)
        # A new module for each box, because proofs are stored per module, and proofs about the head depend on the box.
        explainer = self._make(replace(self._network, model=copy(self.model)))
        (comparison,) = explainer.compare_with(
            options or EstimatorOptions(),
            self.batch(prepared, chosen),
            methods,
            [chosen.target],
            curvature=curvature,
            smooth=smooth,
        )
        return comparison


def own_layer_names(layer: LayerChoice, model: nn.Module) -> LayerChoice:
    """Return a choice of layers in which the detector's own names are names in the model that wraps it."""
    if isinstance(layer, (list, tuple)):
        return [own_layer_names(each, model) for each in layer]  # type: ignore[misc]
    if isinstance(layer, str) and layer not in RULES and f"detector.{layer}" in dict(model.named_modules()):
        return f"detector.{layer}"
    return layer
