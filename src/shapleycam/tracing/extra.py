"""Further inputs of a model beside the images: whose rows they are, and how they are handed over."""

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

    def call(self, model: nn.Module, images: Tensor) -> Any:
        """Return the model's output for images and these inputs; tensors are copied, as the model may write in them."""
        if not self.positional and not self.keywords:
            return model(images)
        own = self.changed(lambda tensor: tensor.clone())
        return model(images, *own.positional, **own.keywords)

    def rows(self, samples: Tensor) -> ExtraInputs:
        """Return the inputs of other rows; `samples` (rows,) says which image each row belongs to."""

        def chosen(tensor: Tensor) -> Tensor:
            if not tensor.dim() or len(tensor) != self.batch:
                return tensor
            return tensor[samples.to(tensor.device)]

        if not self.positional and not self.keywords:
            return self
        return replace(self.changed(chosen), batch=len(samples))

    def changed(self, change: Callable[[Tensor], Tensor]) -> ExtraInputs:
        """Return the inputs with `change` applied to each tensor."""
        positional = tuple(map_tensors(change, value) for value in self.positional)
        return replace(
            self, positional=positional, keywords={name: map_tensors(change, v) for name, v in self.keywords.items()}
        )


NO_EXTRA = ExtraInputs()
