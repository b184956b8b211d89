"""A model's further inputs beside the images: how they are passed, and which of their rows belong to which image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from shapleycam.tracing.nested import map_tensors


@dataclass(frozen=True)
class ExtraInputs:
    """Positional arguments after the images, and keyword arguments, of a model's forward.

    A tensor whose first dimension is `batch`, the number of images, has one row for each image. All other values are
    passed as they are.
    """

    positional: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 1

    @property
    def is_empty(self) -> bool:
        """Return whether there are no further inputs."""
        return not self.positional and not self.keywords

    def call(self, model: nn.Module, images: Tensor) -> Any:
        """Return the model's output for images and copies of these inputs; copies, as the model may write into them."""
        if self.is_empty:
            return model(images)
        copies = self.map(lambda tensor: tensor.clone())
        return model(images, *copies.positional, **copies.keywords)

    def rows(self, samples: Tensor) -> ExtraInputs:
        """Return the inputs for a batch of rows; `samples` (rows,) is the index of the image of each row."""

        def select(tensor: Tensor) -> Tensor:
            if not tensor.dim() or len(tensor) != self.batch:
                return tensor
            return tensor[samples.to(tensor.device)]

        if self.is_empty:
            return self
        return replace(self.map(select), batch=len(samples))

    def map(self, change: Callable[[Tensor], Tensor]) -> ExtraInputs:
        """Return the inputs with `change` applied to each tensor."""
        positional = tuple(map_tensors(change, value) for value in self.positional)
        keywords = {name: map_tensors(change, value) for name, value in self.keywords.items()}
        return replace(self, positional=positional, keywords=keywords)


NO_EXTRA = ExtraInputs()
"""No further inputs: the model takes images only."""
