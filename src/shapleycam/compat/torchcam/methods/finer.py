"""torch-cam's extractor of a class against those with the nearest scores, which asks another extractor."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any, Unpack

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.compat.torchcam.extractor import IMAGE_SHAPE, Extractor, HookArguments, TargetLayer
from shapleycam.compat.torchcam.methods.gradient import GradCAM
from shapleycam.compat.torchcam.methods.refined import ExtractorWrapper, check_base
from shapleycam.compat.torchcam.scores import OutputTarget, class_targets
from shapleycam.errors import OptionError, TargetError


class FinerCAM(ExtractorWrapper):
    """A class against those with the nearest scores: z_c - gamma · mean z_d (arXiv:2501.11309).

    Args:
        model: as of `GradCAM`.
        target_layer: as of `GradCAM`.
        input_shape: as of `GradCAM`.
        base_method: the extractor that makes the maps, one by the gradient.
        gamma: how much of the other classes is subtracted, from 0.
        num_references: of other classes, where they are not given; fewer where the model has fewer.
        hooks: `enable_hooks` and `reshape_transform`, as of `GradCAM`.

    Raises:
        OptionError: a base method that is not of the scores' gradient, or a number that is out of range.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.torchcam.methods import FinerCAM
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(*layers)
        >>> with FinerCAM(model, "1", input_shape=(3, 8, 8)) as extractor:
        ...     scores = model(torch.rand(2, 3, 8, 8))
        ...     extractor([2, 0], scores, comparison_idx=[1, 3])[0].shape
        torch.Size([2, 6, 6])
    """

    def __init__(
        self,
        model: nn.Module,
        target_layer: TargetLayer = None,
        input_shape: tuple[int, ...] = IMAGE_SHAPE,
        *,
        base_method: type[Extractor] = GradCAM,
        gamma: float = 0.6,
        num_references: int = 3,
        **hooks: Unpack[HookArguments],
    ) -> None:
        check_base(base_method)
        if not base_method.is_of_scores:
            raise OptionError(f"base_method is {base_method.__name__}; expected one by the gradient of scores: GradCAM")
        if not isinstance(gamma, (int, float)) or not isfinite(gamma) or gamma < 0:
            raise OptionError(f"gamma={gamma!r}; expected a number from 0")
        if not isinstance(num_references, int) or num_references < 1:
            raise OptionError(f"num_references={num_references!r}; expected a whole number from 1")
        self.gamma: float = float(gamma)
        self.num_references: int = num_references
        super().__init__(base_method(model, target_layer, input_shape, **hooks))

    def __call__(
        self,
        class_idx: int | list[int],
        scores: Tensor | None = None,
        comparison_idx: int | list[int] | list[list[int]] | None = None,
        normalized: bool = True,
        *,
        targets: None = None,
        **_: Any,
    ) -> list[Float[Tensor, "b *grid"]]:
        """Return a map for each layer.

        Args:
            class_idx: a class, or a list with one for each image.
            scores: (b, classes), as of `GradCAM`.
            comparison_idx: the other classes: one, several, or a list of several for each image; None for the nearest.
            normalized: as of `GradCAM`.
            targets: none: a class is explained.

        Raises:
            OptionError: other targets, or classes to compare with that are none, or the explained one.
            TargetError: scores that are not of two or more classes.
        """
        if targets is not None:
            raise OptionError("FinerCAM explains a class, and targets= were given; expected class_idx")
        if not isinstance(scores, Tensor) or scores.dim() != 2 or scores.shape[1] < 2:
            kind = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
            raise TargetError(
                f"scores are given as {kind}; expected (b, classes) of two or more: what the model returned"
            )
        classes = [row.category for row in class_targets(class_idx, len(scores))]
        _check_classes(classes, scores.shape[1], "class_idx")
        others = self._nearest(scores, classes) if comparison_idx is None else _rows(comparison_idx, len(scores))
        for own, row in zip(classes, others, strict=True):
            _check_classes(row, scores.shape[1], "comparison_idx")
            if own in row or len(set(row)) < len(row):
                raise OptionError(f"comparison_idx has {row} for class {own}; expected other classes, each once")
        contrasts = [self._contrast(own, row) for own, row in zip(classes, others, strict=True)]
        return self.base_cam(scores=scores, normalized=normalized, targets=contrasts)

    def _contrast(self, own: int, others: list[int]) -> OutputTarget:
        return lambda row: row[own] - self.gamma * row[others].mean()

    def _nearest(self, scores: Float[Tensor, "b classes"], classes: list[int]) -> list[list[int]]:
        """Return the other classes of each image with the scores nearest to its own class's."""
        own = torch.tensor(classes, device=scores.device)[:, None]
        distances = (scores.detach() - scores.detach().gather(1, own)).abs().scatter(1, own, torch.inf)
        count = min(self.num_references, scores.shape[1] - 1)
        nearest: list[list[int]] = distances.topk(count, dim=1, largest=False).indices.tolist()
        return nearest


def _rows(choice: Any, images: int) -> list[list[int]]:
    """Return the classes to compare with of each image."""
    rows = choice if isinstance(choice, (list, tuple)) else [choice]
    of_each = rows if rows and all(isinstance(row, (list, tuple)) for row in rows) else [rows] * images
    if len(of_each) != images or not all(of_each):
        raise OptionError(
            f"comparison_idx={choice!r:.80} for {images} images; expected classes, or a list of them for each image"
        )
    return [list(row) for row in of_each]


def _check_classes(classes: Iterable[Any], count: int, name: str) -> None:
    for each in classes:
        if not isinstance(each, int) or not 0 <= each < count:
            raise OptionError(f"{name} has {each!r:.40}; expected whole numbers from 0 to {count - 1}")
