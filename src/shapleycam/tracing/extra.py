"""A model's further inputs beside the images: to which images their rows belong, and how they are passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from shapleycam.tracing.nested import map_tensors


@dataclass(frozen=True)
class ExtraInputs:
    """Positional arguments after the images, and keyword arguments, of a model's forward.

    Tensors whose first dimension is `batch`, the number of images, belong to the images row by row; all other values
    are passed as they are.
    """

    positional: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 1

    @property
    def is_empty(self) -> bool:
        """Return whether the model takes images alone."""
        return not self.positional and not self.keywords

    def call(self, model: nn.Module, images: Tensor) -> Any:
        """Return the model's output for images and copies of these inputs, since the model may write into them."""
        if self.is_empty:
            return model(images)
        copies = self.map(lambda tensor: tensor.clone())
        return model(images, *copies.positional, **copies.keywords)

    def rows(self, samples: Tensor) -> ExtraInputs:
        """Return the inputs for other rows; `samples` (rows,) is the index of the image that each row belongs to."""

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
"""The further inputs of a model that takes images alone."""
