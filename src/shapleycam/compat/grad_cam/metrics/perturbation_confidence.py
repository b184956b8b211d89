"""The interface of pytorch-grad-cam's metrics: a perturbation of each image by its map, and the change of its score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from numbers import Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.compat.images import check_images
from shapleycam.compat.questions import number_of
from shapleycam.errors import OptionError
from shapleycam.models.eval_mode import in_eval_mode

Perturbation = Callable[[Tensor, Tensor], Tensor]
"""(image (c, h, w), map (h, w)) -> image."""


class PerturbationConfidenceMetric:
    """How much the target's score of each image grows by a perturbation."""

    def __init__(self, perturbation: Perturbation) -> None:
        self.perturbation = perturbation

    def __call__(
        self,
        input_tensor: Float[Tensor, "b c h w"],
        cams: Float[np.ndarray, "b h w"],
        targets: Sequence[Callable[[Any], Tensor]],
        model: nn.Module,
        return_visualization: bool = False,
        return_diff: bool = True,
    ) -> Any:
        """Return the growth (b,), or the score after the perturbation; with `return_visualization` also the images.

        Raises:
            ImageError: no batch of images.
            OptionError: not one map of its size, in numbers that are finite, and one target for each image.
            TargetError: a target raises, or returns no number.
        """
        check_images(input_tensor, "input_tensor")
        if not all(isinstance(rows, Sized) for rows in (cams, targets)):
            raise OptionError(
                f"cams is a {type(cams).__name__} and targets is a {type(targets).__name__}; expected a map and a "
                "target for each image"
            )
        if not len(input_tensor) == len(cams) == len(targets):
            raise OptionError(
                f"there are {len(input_tensor)} images, {len(cams)} maps and {len(targets)} targets; expected one for "
                "each image"
            )
        maps = [torch.from_numpy(np.asarray(cam)) for cam in cams]
        for heat in maps:
            if heat.shape != input_tensor.shape[2:] or not heat.isfinite().all():
                raise OptionError(
                    f"a map has shape {tuple(heat.shape)}, or numbers that are not finite; expected finite ones of the "
                    f"images' size, {tuple(input_tensor.shape[2:])}"
                )
        changed = torch.stack(
            [
                self.perturbation(image.cpu(), heat).to(input_tensor)
                for image, heat in zip(input_tensor, maps, strict=True)
            ]
        )
        result = _scores(model, changed, targets)
        if return_diff:
            result = self._measure(result - _scores(model, input_tensor, targets))
        return (result, changed) if return_visualization else result

    def _measure(self, growth: Float[np.ndarray, "b"]) -> Float[np.ndarray, "b"]:
        """Return what the metric says of how much the scores grow."""
        return growth


def _scores(model: nn.Module, images: Tensor, targets: Sequence[Callable[[Any], Tensor]]) -> np.ndarray:
    """Return the scores in eval mode, in which pytorch-grad-cam's methods leave the model; here it is as it was."""
    with in_eval_mode(model) if isinstance(model, nn.Module) else torch.no_grad():
        outputs = model(images)
        scores = [float(number_of(target, output)) for target, output in zip(targets, outputs, strict=True)]
    return np.array(scores, np.float32)


class RemoveMostRelevantFirst:
    """Imputes the pixels whose heat is at the percentile or above."""

    def __init__(self, percentile: float, imputer: Perturbation) -> None:
        if isinstance(percentile, bool) or not isinstance(percentile, Real) or not 0 <= percentile <= 100:
            raise OptionError(f"percentile={percentile!r}; expected a number from 0 to 100")
        self.percentile: float = percentile
        self.imputer: Perturbation = imputer

    def __call__(self, input_tensor: Float[Tensor, "c h w"], mask: Float[Tensor, "h w"]) -> Float[Tensor, "c h w"]:
        """Return the image; the imputer gets a mask that is 1 where a pixel is left."""
        threshold = float(np.percentile(mask.numpy(), float(self.percentile)))
        return self.imputer(input_tensor, (mask < threshold).float())


class RemoveLeastRelevantFirst(RemoveMostRelevantFirst):
    """Imputes the pixels whose coldness, 1 less the heat, is at the percentile or above."""

    def __call__(self, input_tensor: Float[Tensor, "c h w"], mask: Float[Tensor, "h w"]) -> Float[Tensor, "c h w"]:
        """Return the image."""
        return super().__call__(input_tensor, 1 - mask)


class AveragerAcrossThresholds:
    """The mean of a metric over percentiles."""

    def __init__(
        self,
        imputer: Callable[[int], PerturbationConfidenceMetric],
        percentiles: Sequence[int] = (10, 20, 30, 40, 50, 60, 70, 80, 90),
    ) -> None:
        if not isinstance(percentiles, Iterable) or not list(percentiles):
            raise OptionError(f"percentiles={percentiles}; expected at least one number from 0 to 100")
        self.imputer, self.percentiles = imputer, list(percentiles)

    def __call__(
        self,
        input_tensor: Float[Tensor, "b c h w"],
        cams: Float[np.ndarray, "b h w"],
        targets: Sequence[Callable[[Any], Tensor]],
        model: nn.Module,
    ) -> Float[np.ndarray, "b"]:
        """Return one number an image."""
        scores = [self.imputer(percentile)(input_tensor, cams, targets, model) for percentile in self.percentiles]
        return np.asarray(np.mean(scores, axis=0), np.float32)
