"""torch-cam's extractors of one method each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.cams.noisy_gradients import DEVIATION, SAMPLES
from shapleycam.compat.refusing import refusing_class
from shapleycam.compat.torchcam.extractor import Extractor
from shapleycam.compat.torchcam.recorded_pass import RecordedPass
from shapleycam.compat.torchcam.scores import ClassIndex, OutputTarget, Targets, targets_of
from shapleycam.errors import OptionError
from shapleycam.utilities import UTILITIES, Utility

__all__ = ["CAM", "GradCAM", "GradCAMpp", "LayerCAM", "OutputTarget", "SmoothGradCAMpp", "XGradCAM"]

_MASKING = "masks the image by each channel; it is a method of its own name in shapleycam.Explainer where it is listed"
MISSING = {
    "FinerCAM": "contrasts a class with others; hand targets=lambda scores: scores[0] - scores[1] to GradCAM",
    "ISCAM": _MASKING,
    "LeGrad": "reads attentions; shapleycam.Explainer has gradientrollout",
    "RefineCAM": "multiplies maps; shapleycam.Explainer has fuse='product'",
    "SSCAM": _MASKING,
    "ScoreCAM": _MASKING,
}
"""Names that are missing, with what each does and what to use in its place."""


class GradCAM(Extractor):
    """`gradcam`."""

    method = "gradcam"


class GradCAMpp(Extractor):
    """`gradcam++`, with the denominator of its weights, which torch-cam 0.5 leaves out."""

    method = "gradcam++"


class XGradCAM(Extractor):
    """`xgradcam`."""

    method = "xgradcam"


class LayerCAM(Extractor):
    """`layercam`."""

    method = "layercam"

    @staticmethod
    def _scale(cam: Tensor) -> Tensor:
        """Return tanh(2 cam): equation 9 of the paper."""
        return (2 * cam).tanh()


class SmoothGradCAMpp(Extractor):
    """`smoothgradcam++`: its noise is drawn from each image's content.

    Args:
        model: as of `GradCAM`.
        target_layer: as of `GradCAM`.
        num_samples: 4 noisy images.
        std: 0.3, the noise's standard deviation.
        input_shape: as of `GradCAM`.
        enable_hooks: as of `GradCAM`.
        reshape_transform: as of `GradCAM`.

    Raises:
        OptionError: another number or deviation.
    """

    method = "smoothgradcam++"
    is_of_scores = False

    def __init__(
        self,
        model: nn.Module,
        target_layer: nn.Module | str | list[nn.Module | str] | None = None,
        num_samples: int = SAMPLES,
        std: float = DEVIATION,
        input_shape: tuple[int, ...] = (3, 224, 224),
        enable_hooks: bool = True,
        reshape_transform: Callable[[Any], Tensor] | None = None,
    ) -> None:
        if (num_samples, std) != (SAMPLES, DEVIATION):
            raise OptionError(
                f"num_samples={num_samples}, std={std}; expected {SAMPLES} and {DEVIATION}, which 'smoothgradcam++' has"
            )
        super().__init__(model, target_layer, input_shape, enable_hooks, reshape_transform)


class CAM(Extractor):
    """`cam`: of models that average the positions and are linear behind the mean, which is proven first.

    Args:
        model: as of `GradCAM`.
        target_layer: as of `GradCAM`; one.
        fc_layer: not needed, as the weights are found by the derivative; one with other weights is refused.
        input_shape: as of `GradCAM`.
        enable_hooks: as of `GradCAM`.
        reshape_transform: as of `GradCAM`.

    Raises:
        OptionError: several layers, or a linear layer that is not the classifier.
    """

    method = "cam"
    is_of_scores = False
    is_positive = False

    def __init__(
        self,
        model: nn.Module,
        target_layer: nn.Module | str | list[nn.Module | str] | None = None,
        fc_layer: nn.Module | str | None = None,
        input_shape: tuple[int, ...] = (3, 224, 224),
        enable_hooks: bool = True,
        reshape_transform: Callable[[Any], Tensor] | None = None,
    ) -> None:
        if isinstance(target_layer, list) and len(target_layer) != 1:
            raise OptionError(f"CAM is given {len(target_layer)} layers; expected the one before pooling")
        _check_classifier(model, fc_layer)
        super().__init__(model, target_layer, input_shape, enable_hooks, reshape_transform)

    def _question(
        self, recorded: RecordedPass, class_idx: ClassIndex, scores: Any, targets: Targets
    ) -> tuple[list[int] | None, Utility]:
        """Return the classes and their logit, which is what the classifier's weights are of."""
        if targets is not None:
            raise OptionError("CAM explains a class, and targets= were given; expected class_idx")
        self._check_scores(recorded, scores)
        classes = targets_of(class_idx, None, len(recorded.images))
        return [target.category for target in classes], UTILITIES["logit"]

    def _values(self, *arguments: Any) -> Float[Tensor, "b *grid"]:
        """Return Σ_k w_k A_k: as many times the values as there are positions, which the mean divides by."""
        values = super()._values(*arguments)
        return values * values[0].numel()


def _check_classifier(model: nn.Module, layer: nn.Module | str | None) -> None:
    """Refuse a layer that is not the last one with a matrix of weights."""
    matrices = [(name, module) for name, module in model.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    name, module = matrices[-1] if matrices else ("", None)
    if layer is not None and layer is not module and layer != name:
        raise OptionError(f"fc_layer is not the model's classifier, {name!r}; leave it out, as its weights are found")


def __getattr__(name: str) -> Any:
    if name not in MISSING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return refusing_class("torch-cam", name, MISSING[name])
