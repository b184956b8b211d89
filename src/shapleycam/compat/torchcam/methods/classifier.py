"""torch-cam's extractor by the classifier's weights."""

from __future__ import annotations

from typing import Any, Unpack

from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.compat.torchcam.extractor import IMAGE_SHAPE, Extractor, HookArguments, TargetLayer
from shapleycam.compat.torchcam.recorded_pass import RecordedPass
from shapleycam.compat.torchcam.scores import ClassIndex, Targets, class_targets
from shapleycam.errors import OptionError
from shapleycam.utilities import UTILITIES, Utility


class CAM(Extractor):
    """`cam`: of models that average the positions and are linear behind the mean, which is proven first.

    Args:
        model: as of `GradCAM`.
        target_layer: as of `GradCAM`; one.
        fc_layer: not needed, as the weights are found by the derivative; one with other weights is refused.
        input_shape: as of `GradCAM`.
        hooks: `enable_hooks` and `reshape_transform`, as of `GradCAM`.

    Raises:
        OptionError: several layers, or a linear layer that is not the classifier.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.torchcam.methods import CAM
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(*layers, torch.nn.Linear(4, 5))
        >>> with CAM(model, "1", input_shape=(3, 8, 8)) as extractor:
        ...     scores = model(torch.rand(2, 3, 8, 8))
        ...     extractor([2, 0], scores)[0].shape
        torch.Size([2, 6, 6])
    """

    method = "cam"
    is_of_scores = False
    is_positive = False

    def __init__(
        self,
        model: nn.Module,
        target_layer: TargetLayer = None,
        fc_layer: nn.Module | str | None = None,
        input_shape: tuple[int, ...] = IMAGE_SHAPE,
        **hooks: Unpack[HookArguments],
    ) -> None:
        if isinstance(target_layer, list) and len(target_layer) != 1:
            raise OptionError(f"CAM is given {len(target_layer)} layers; expected the one before pooling")
        _check_classifier(model, fc_layer)
        super().__init__(model, target_layer, input_shape, **hooks)

    def _question(
        self, recorded: RecordedPass, class_idx: ClassIndex, scores: Any, targets: Targets
    ) -> tuple[list[int] | None, Utility]:
        """Return the classes and their logit, which is what the classifier's weights are of."""
        if targets is not None:
            raise OptionError("CAM explains a class, and targets= were given; expected class_idx")
        self._check_scores(recorded, scores)
        classes = class_targets(class_idx, len(recorded.images))
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
