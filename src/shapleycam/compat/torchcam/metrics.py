"""torch-cam's average drop and increase in confidence (Chattopadhay 2018, arXiv:1710.11063)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.heatmaps import resize
from shapleycam.compat.questions import number_of
from shapleycam.compat.refusing import refusing_class
from shapleycam.compat.torchcam.extractor import Extractor
from shapleycam.compat.torchcam.recorded_pass import RecordedPass
from shapleycam.compat.torchcam.scores import ClassIndex, Targets, targets_of
from shapleycam.errors import OptionError
from shapleycam.foreign_errors import convert_errors_of_function
from shapleycam.wording import type_and_first_line

_EPSILON = 1e-7
_MISSING = {
    "DeletionInsertionMetric": "removes places step by step; shapleycam.metrics has deletion and insertion",
}


class ClassificationMetric:
    """How much the score falls, and how often it grows, when the image is multiplied by its map.

    Args:
        cam_extractor: of this package.
        logits_fn: from the model's output to scores, as a softmax; None takes the output.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.torchcam.methods import LayerCAM
        >>> from shapleycam.compat.torchcam.metrics import ClassificationMetric
        >>> _ = torch.manual_seed(0)
        >>> layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.Softplus(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
        >>> model = torch.nn.Sequential(*layers).eval()
        >>> metric = ClassificationMetric(LayerCAM(model, "1"), lambda output: output.softmax(1))
        >>> metric.update(torch.rand(2, 3, 8, 8))
        >>> sorted(metric.summary())
        ['avg_drop', 'conf_increase']
    """

    def __init__(self, cam_extractor: Extractor, logits_fn: Callable[[Any], Any] | None = None) -> None:
        self.cam_extractor, self.logits_fn = cam_extractor, logits_fn
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        self.drop = self.increase = 0.0
        self.total = 0

    def update(
        self,
        input_tensor: Float[Tensor, "b *image"],
        class_idx: ClassIndex = None,
        *,
        targets: Targets = None,
    ) -> None:
        """Add images; the classes are the predicted ones where neither `class_idx` nor `targets` is given.

        Raises:
            OptionError: both are given.
        """
        output = self.cam_extractor.output_of(input_tensor)
        if isinstance(output, Tensor):  # scores are computed from it with a graph, by which they are explained
            output = output.detach().requires_grad_()
        with torch.enable_grad():
            scores = self._scores(output)
        if class_idx is None and targets is None:
            class_idx = _predicted(scores)
        rows = targets_of(class_idx, targets, len(input_tensor))
        recorded = RecordedPass(input_tensor.detach(), None, output)
        maps = self.cam_extractor.fuse_cams(self.cam_extractor.explain(recorded, class_idx, scores, targets))
        heat = resize(maps, tuple(input_tensor.shape[2:]))[:, None].to(input_tensor)
        with torch.no_grad():
            masked = self._scores(self.cam_extractor.output_of(heat * input_tensor))
            before, after = (_values(rows, each) for each in (scores, masked))
        self.drop += float(((before - after).relu() / (before + _EPSILON)).sum())
        self.increase += float((before < after).sum())
        self.total += len(input_tensor)

    def summary(self) -> dict[str, float]:
        """Return the mean drop, as a share of the score, and the share of images whose score grows.

        Raises:
            OptionError: there are no images.
        """
        if not self.total:
            raise OptionError("the metric has seen no images; call update(images) first")
        return {"avg_drop": self.drop / self.total, "conf_increase": self.increase / self.total}

    def _scores(self, output: Any) -> Any:
        if self.logits_fn is None:
            return output
        with convert_errors_of_function(
            lambda error: OptionError(
                f"logits_fn raised {type_and_first_line(error)}, for what the model returns, "
                f"{type(output).__name__}; expected a function from that to scores (b, classes)"
            )
        ):
            return self.logits_fn(output)


def _predicted(scores: Any) -> list[int]:
    if not isinstance(scores, Tensor) or scores.dim() != 2:
        kind = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
        raise OptionError(f"the scores are {kind}; expected (b, classes): use logits_fn= or give targets=")
    return [int(number) for number in scores.argmax(1)]


def _values(rows: list[Callable[[Any], Tensor]], scores: Any) -> Float[Tensor, " b"]:
    return torch.stack([number_of(target, row).detach() for target, row in zip(rows, scores, strict=True)])


def __getattr__(name: str) -> Any:
    if name not in _MISSING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return refusing_class("torch-cam", name, _MISSING[name])
