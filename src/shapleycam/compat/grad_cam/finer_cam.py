"""pytorch-grad-cam's FinerCAM: a class against those that are nearest to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.compat.grad_cam.base_cam import BaseCAM
from shapleycam.compat.grad_cam.methods import GradCAM
from shapleycam.compat.grad_cam.utils.model_targets import FinerWeightedTarget
from shapleycam.compat.questions import form_of
from shapleycam.errors import OptionError, TargetError


class FinerCAM:
    """A class against those with the nearest scores, weighted by their probabilities (arXiv:2501.11309)."""

    def __init__(
        self,
        model: nn.Module,
        target_layers: Sequence[nn.Module],
        reshape_transform: Callable[[Any], Tensor] | None = None,
        base_method: type[BaseCAM] = GradCAM,
    ) -> None:
        self.base_cam = base_method(model, target_layers, reshape_transform)

    def __enter__(self) -> FinerCAM:  # noqa: PYI034  # as in BaseCAM
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: nothing was left on the model."""

    def __call__(
        self,
        input_tensor: Float[Tensor, "b *image"],
        targets: Sequence[Callable[[Any], Tensor]] | None = None,
        eigen_smooth: bool = False,
        alpha: float = 1,
        comparison_categories: Sequence[int] = (1, 2, 3),
        target_idx: int | None = None,
    ) -> Float[np.ndarray, "b *size"]:
        """Return the maps; arguments and errors as in `BaseCAM`.

        Args:
            input_tensor: preprocessed images.
            targets: in place of the comparison.
            eigen_smooth: as in `BaseCAM`.
            alpha: how much of the other classes is subtracted.
            comparison_categories: which of the classes nearest in score, from 1 for the nearest; those that the model
                has not are left out.
            target_idx: the class; None for the predicted one.
        """
        chosen = targets
        if chosen is None:
            chosen = self._targets(input_tensor, alpha, comparison_categories, target_idx)
        return self.base_cam(input_tensor, chosen, eigen_smooth=eigen_smooth)

    def _targets(
        self, images: Tensor, alpha: float, places: Sequence[int], target: int | None
    ) -> list[FinerWeightedTarget]:
        with torch.no_grad():
            outputs = self.base_cam.output_of(images)
        if not isinstance(outputs, Tensor) or outputs.dim() != 2:
            raise TargetError(
                f"the model returns {form_of(outputs)}; without targets= expected (b, classes): give targets"
            )
        classes = outputs.shape[1]
        if target is not None and target not in range(classes):
            raise TargetError(f"target_idx={target}; expected a class from 0 to {classes - 1}")
        scores = outputs.amax(1) if target is None else outputs[:, int(target)]
        nearest = (outputs - scores[:, None]).abs().argsort(dim=1, stable=True).tolist()
        known = [int(place) for place in places if place in range(1, classes)]
        if not known:
            raise OptionError(
                f"comparison_categories={list(places)}; expected places of other classes, from 1 for the nearest to "
                f"{classes - 1}"
            )
        return [FinerWeightedTarget(order[0], [order[place] for place in known], alpha) for order in nearest]
