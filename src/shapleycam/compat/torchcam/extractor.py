"""The interface of torch-cam's extractors, made of an `Explainer` for each layer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar, TypeAlias, TypedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.compat.images import check_images
from shapleycam.compat.layer_explainers import LayerExplainers
from shapleycam.compat.questions import utility_of
from shapleycam.compat.refusing import refuse_overridden
from shapleycam.compat.torchcam.maps import check_maps, scale_map, stack_maps
from shapleycam.compat.torchcam.pass_hook import PassHook
from shapleycam.compat.torchcam.recorded_pass import RecordedPass
from shapleycam.compat.torchcam.scores import ClassIndex, Targets, is_output, targets_of, utility_of_scores
from shapleycam.errors import LayerError, OptionError
from shapleycam.explaining.explainer import Explainer
from shapleycam.utilities import Utility
from shapleycam.values.options import EstimatorOptions

TargetLayer: TypeAlias = "nn.Module | str | list[nn.Module | str] | None"
"""A module of the model, its name, or a list of these; None for the layer before pooling."""
IMAGE_SHAPE = (3, 224, 224)
logger = logging.getLogger(__name__)
_OVERRIDDEN = ("_get_weights", "_backprop", "_hook_a", "_hook_g", "_precheck", "_normalize")
"""Methods of torch-cam's extractors by which users make methods of their own; here they would not be called."""


class HookArguments(TypedDict, total=False):
    """The arguments that all extractors have after their own; `Extractor` explains them."""

    enable_hooks: bool
    reshape_transform: Callable[[Any], Tensor] | None


class Extractor(PassHook):
    """One method of `Explainer` as an extractor of torch-cam; its subclasses are the methods.

    A hook on the model remembers the images of your last forward pass; when it is asked, the model is run once more on
    them. The maps are detached and have the layer's size.

    Args:
        model: maps images (b, c, h, w) to its output.
        target_layer: a module, its name, or a list of these; None finds the one before pooling.
        input_shape: of one image, for finding it.
        enable_hooks: whether passes are remembered from the beginning.
        reshape_transform: from an activation to (b, c, h, w). It is not needed where the layout can be proven.

    Raises:
        LayerError: a layer is not of the model.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.torchcam.methods import GradCAM
        >>> layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
        >>> model = torch.nn.Sequential(*layers).eval()
        >>> with GradCAM(model, "0") as extractor:
        ...     scores = model(torch.rand(2, 3, 8, 8))
        ...     maps = extractor(scores.argmax(1).tolist(), scores)
        >>> [tuple(each.shape) for each in maps]
        [(2, 6, 6)]
    """

    method: ClassVar[str]
    """The name of the method among those of `shapleycam.methods`."""
    is_of_scores: ClassVar[bool] = True
    """Whether the scores that are handed over are explained; otherwise it is the model's output."""
    is_positive: ClassVar[bool] = True
    """Whether negative values become zero."""

    def __init__(
        self,
        model: nn.Module,
        target_layer: TargetLayer = None,
        input_shape: tuple[int, ...] = IMAGE_SHAPE,
        enable_hooks: bool = True,
        reshape_transform: Callable[[Any], Tensor] | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise OptionError(f"model is a {type(model).__name__}; expected a module, whose passes are remembered")
        if reshape_transform is not None and target_layer is None:
            raise OptionError("reshape_transform is given without target_layer; name the layer that it is for")
        if target_layer is None:
            target_layer = _find_layer(model, input_shape)
            logger.warning("no value was provided for `target_layer`, thus set to %r.", target_layer)
        layers = target_layer if isinstance(target_layer, list) else [target_layer]
        if not layers:
            raise LayerError("target_layer is an empty list; expected at least one layer, or None to find it")
        self._explainers = [LayerExplainers(model, [layer], reshape_transform) for layer in layers]
        self.target_names = [explainers.any_layout.layer for explainers in self._explainers]
        super().__init__(model, enable_hooks)  # last: a model whose layer is refused gets no hook

    def __init_subclass__(cls) -> None:
        refuse_overridden(cls, _OVERRIDDEN, "extractors of shapleycam.compat do", "torch-cam")

    def __call__(
        self,
        class_idx: ClassIndex = None,
        scores: Any = None,
        normalized: bool = True,
        *,
        targets: Targets = None,
        retain_graph: bool = True,  # noqa: ARG002  # graphs are always retained
    ) -> list[Float[Tensor, "b *grid"]]:
        """Return a map for each layer.

        Args:
            class_idx: a class, or a list with one for each image.
            scores: what the model returned in its last forward pass, or what was computed from that.
            normalized: whether the maps are scaled to [0, 1].
            targets: in place of classes; functions from an image's scores to the number that is explained.
            retain_graph: not needed.

        Raises:
            ShapleyCamError: with one line that says what was found, what was expected and what to do.
        """
        recorded = self._pass
        if recorded is None:
            raise OptionError("no forward pass was seen; run the model on images first, with hooks enabled")
        if scores is None and self.is_of_scores:
            raise OptionError("scores are missing; expected what the model returned: extractor(class_idx, scores)")
        question = self._question(recorded, class_idx, scores, targets)
        maps = [self._values(explainers, recorded, *question) for explainers in self._explainers]
        positive = [each.relu() if self.is_positive else each for each in maps]
        return [scale_map(each) for each in positive] if normalized else positive

    compute_cams = __call__

    @classmethod
    def fuse_cams(
        cls, cams: list[Float[Tensor, "b *grid"]], target_shape: tuple[int, ...] | None = None
    ) -> Float[Tensor, "b *size"]:
        """Return the largest value at each place of maps of several layers, at the largest size or `target_shape`.

        Raises:
            OptionError: no list of maps, of the same images and as many axes; no `target_shape` of these axes.
        """
        check_maps(cams)
        if len(cams) == 1:
            return cams[0]
        return stack_maps([cls._scale(each) for each in cams], target_shape).amax(0)

    @staticmethod
    def _scale(cam: Tensor) -> Tensor:
        """Return a map as it is fused."""
        return cam

    def __repr__(self) -> str:
        return f"{type(self).__name__}(target_layer={self.target_names})"

    def explain(
        self, recorded: RecordedPass, class_idx: ClassIndex, scores: Any, targets: Targets
    ) -> list[Float[Tensor, "b *grid"]]:
        """Return the maps of a pass that no hook saw; arguments as in a call."""
        seen, self._pass = self._pass, recorded
        try:
            return self(class_idx, scores if self.is_of_scores else None, targets=targets)
        finally:
            self._pass = seen

    def output_of(self, images: Float[Tensor, "b *image"]) -> Any:
        """Return what the model returns for images, in evaluation mode."""
        check_images(images, "input_tensor")
        with self._hook_removed():
            return self._explainers[0].any_layout.output(images, utility_of(None, len(images)))

    def _question(
        self, recorded: RecordedPass, class_idx: ClassIndex, scores: Any, targets: Targets
    ) -> tuple[list[int] | None, Utility]:
        """Return the classes, where the utility is of one, and the utility that is explained of a pass."""
        if not self.is_of_scores:
            self._check_scores(recorded, scores)
        rows = targets_of(class_idx, targets, len(recorded.images))
        return None, utility_of_scores(rows, recorded.output, scores)

    def _check_scores(self, recorded: RecordedPass, scores: Any) -> None:
        """Refuse scores that are not the model's output, where only that is explained."""
        if not is_output(scores, recorded.output):
            raise OptionError(
                f"{type(self).__name__} explains the model's output, and other scores were handed over; leave them out"
            )

    def _values(
        self, layer: LayerExplainers, recorded: RecordedPass, classes: list[int] | None, utility: Utility
    ) -> Float[Tensor, "b *grid"]:
        """Return the signed values at one layer.

        Raises:
            OptionError: the model does not return what it did.
        """
        images, inputs = recorded.images, recorded.inputs
        with self._hook_removed():
            explainer = layer.at(images, inputs)
            [comparison] = explainer.compare_with(
                EstimatorOptions(), images, [self.method], [classes], utility, inputs=inputs
            )
            explanation = comparison[self.method]
            output = explanation.output
            recorded.check_output(explainer.output(images, utility, inputs) if output is None else output)
        return explanation.values


def _find_layer(model: nn.Module, input_shape: tuple[int, ...]) -> str:
    """Return the name of the layer before pooling, for images of this shape."""
    if not isinstance(input_shape, (tuple, list)) or not all(isinstance(side, Integral) for side in input_shape):
        raise OptionError(f"input_shape={input_shape}; expected the shape of one image, as (3, 224, 224)")
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    noise = torch.rand(1, *input_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu")
    return Explainer(model).find_layer(noise.to(device))
