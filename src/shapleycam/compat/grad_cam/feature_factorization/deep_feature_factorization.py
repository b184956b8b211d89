"""pytorch-grad-cam's deep feature factorisation: concepts and where they are, from the activation alone.

Source: Collins et al. 2018, arXiv:1806.10206. The factors are scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from numbers import Integral
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.compat.grad_cam.utils.image import scale_cam_image
from shapleycam.compat.images import check_images
from shapleycam.compat.questions import utility_of
from shapleycam.errors import OptionError
from shapleycam.explaining.explainer import Explainer
from shapleycam.foreign_errors import convert_errors_of_function
from shapleycam.precision import widened
from shapleycam.tracing.random_numbers import restore_python_generators
from shapleycam.wording import type_and_first_line


def dff(
    activations: Float[np.ndarray, "b k h w"], n_components: int = 5
) -> tuple[Float[np.ndarray, "k concepts"], Float[np.ndarray, "b concepts h w"]]:
    """Return the concepts, and how much of each is at each position, by a non-negative factorisation of both.

    Each channel's smallest number is taken off first, and added to the concepts.

    Raises:
        OptionError: scikit-learn is not installed, no array (b, k, h, w), numbers that are not finite, or no number of
            concepts.
    """
    if find_spec("sklearn") is None:
        raise OptionError("deep feature factorisation needs scikit-learn, which is not installed; install scikit-learn")
    with restore_python_generators():  # of which the import draws
        from sklearn.decomposition import NMF  # takes a second to import

    if not isinstance(activations, np.ndarray) or activations.ndim != 4:
        form = f"shape {activations.shape}" if isinstance(activations, np.ndarray) else type(activations).__name__
        raise OptionError(f"the activations are given as {form}; expected an array (b, k, h, w)")
    if isinstance(n_components, bool) or not isinstance(n_components, Integral) or n_components < 1:
        raise OptionError(f"n_components={n_components}; expected a whole number of concepts from 1")
    if not np.isfinite(activations).all():
        raise OptionError("the activations have numbers that are not finite; expected finite ones: look at the model")
    images, channels, height, width = activations.shape
    rows = activations.transpose(1, 0, 2, 3).reshape(channels, -1)
    offset = rows.min(axis=1, keepdims=True)
    factors = NMF(n_components=int(n_components), init="random", random_state=0)
    concepts = factors.fit_transform(rows - offset) + offset
    maps = factors.components_.reshape(n_components, images, height, width)
    return concepts, maps.transpose(1, 0, 2, 3)


class DeepFeatureFactorization:
    """The concepts of a layer for a batch of images, and a map of each; the model is left as it is found.

    Args:
        model: maps images (b, c, h, w) to anything.
        target_layer: a module of it.
        reshape_transform: from the layer's activation to (b, k, h, w), where it has another form.
        computation_on_concepts: from the concepts (concepts, k) to a tensor, as the model's classifier.
    """

    def __init__(
        self,
        model: nn.Module,
        target_layer: nn.Module,
        reshape_transform: Callable[[Any], Tensor] | None = None,
        computation_on_concepts: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.model, self.target_layer = model, target_layer
        self.reshape_transform, self.computation_on_concepts = reshape_transform, computation_on_concepts
        self._explainer = Explainer(model, layer=target_layer)

    def __call__(self, input_tensor: Float[Tensor, "b c h w"], n_components: int = 16) -> tuple[Any, ...]:
        """Return the concepts (k, concepts), a list of the maps (concepts, h, w) of each image, in [0, 1], and theirs.

        The third is what `computation_on_concepts` makes of the concepts, where it is given.

        Raises:
            ImageError: no images (b, c, h, w).
            OptionError: as `dff`; an activation that is not (b, k, h, w); a function that raises.
        """
        check_images(input_tensor, "input_tensor")
        batch = self._explainer.trace(input_tensor, [], utility_of(None, len(input_tensor)))
        activation = batch.traced.activation.detach()
        if self.reshape_transform is not None:
            activation = _result("reshape_transform", self.reshape_transform, activation)
        if activation.dim() != 4:
            raise OptionError(
                f"the layer returns shape {tuple(activation.shape)}; expected (b, k, h, w): give reshape_transform"
            )
        concepts, maps = dff(widened(activation).cpu().numpy(), n_components)
        height, width = input_tensor.shape[2:]
        scaled = [scale_cam_image(of_image, (width, height)) for of_image in maps]
        if self.computation_on_concepts is None:
            return concepts, scaled
        weights = next(self.model.parameters(), activation)
        rows = torch.from_numpy(np.float32(concepts).T).to(weights)
        with torch.no_grad():
            outputs = _result("computation_on_concepts", self.computation_on_concepts, rows)
        return concepts, scaled, widened(outputs).cpu().numpy()


def _result(name: str, function: Callable[[Tensor], Any], tensor: Tensor) -> Tensor:
    """Return the tensor that a function of the user's makes of another one.

    Raises:
        OptionError: it raises, or returns something else; its own exception is the cause.
    """
    with convert_errors_of_function(
        lambda error: OptionError(
            f"{name} raised {type_and_first_line(error)}, for shape {tuple(tensor.shape)}; expected a function that "
            "takes it"
        )
    ):
        result = function(tensor)
    if not isinstance(result, Tensor):
        raise OptionError(f"{name} returned {type(result).__name__}; expected a tensor")
    return result
