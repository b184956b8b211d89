"""The interface of pytorch-grad-cam's classes, made of an `Explainer`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.compat.images import check_images
from shapleycam.compat.layer_explainers import LayerExplainers, check_layers
from shapleycam.compat.questions import utility_of
from shapleycam.compat.refusing import refuse_overridden
from shapleycam.errors import OptionError
from shapleycam.values.options import EstimatorOptions

_OVERRIDDEN = ("get_cam_weights", "get_cam_image", "compute_cam_per_layer", "aggregate_multi_layers", "forward")
"""Methods of pytorch-grad-cam's BaseCAM by which users make methods of their own; here they would not be called."""


class BaseCAM:
    """One method of `Explainer` as a class of pytorch-grad-cam; its subclasses are the methods.

    The model is left as it is found, in whatever mode.

    Args:
        model: maps images (b, c, h, w) to its output.
        target_layers: modules of it; the maps of several are averaged.
        reshape_transform: from an activation to (b, c, h, w). It is not needed where the layout can be proven, and says
            where the positions are otherwise.
        tta_transforms: for `aug_smooth`, in place of the mirror image and the factors 0.9, 1 and 1.1; objects with
            `augment_image` and `deaugment_mask`, as of ttach.

    Attributes:
        outputs: what the model returned for the images that were explained last, as they were given (or as the last of
            `tta_transforms` made them); None before.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.grad_cam import GradCAM
        >>> from shapleycam.compat.grad_cam.utils.model_targets import ClassifierOutputTarget
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        >>> with GradCAM(model=model, target_layers=[model[0]]) as cam:
        ...     maps = cam(input_tensor=torch.rand(2, 3, 8, 8), targets=[ClassifierOutputTarget(3)] * 2)
        >>> maps.shape, maps.dtype, cam.outputs.shape
        ((2, 8, 8), dtype('float32'), torch.Size([2, 4]))
    """

    method: ClassVar[str | None] = None
    """The name of the method among those of `shapleycam.methods`."""
    takes_eigen_smooth: ClassVar[bool] = True
    """Whether `eigen_smooth` has an effect in pytorch-grad-cam."""

    def __init__(
        self,
        model: nn.Module,
        target_layers: Sequence[nn.Module | str],
        reshape_transform: Callable[[Any], Tensor] | None = None,
        tta_transforms: Iterable[Any] | None = None,
        *,
        fuse: str = "mean",
    ) -> None:
        if self.method is None:
            raise OptionError(f"{type(self).__name__} has no method; use GradCAM or another subclass of BaseCAM")
        target_layers = check_layers(target_layers)
        self.model, self.target_layers = model, target_layers
        self.reshape_transform, self.tta_transforms = reshape_transform, tta_transforms
        self.outputs: Any = None
        self._explainers = LayerExplainers(model, target_layers, reshape_transform, fuse)

    def __init_subclass__(cls) -> None:
        refuse_overridden(cls, _OVERRIDDEN, "BaseCAM of shapleycam.compat does", "pytorch-grad-cam")

    def __call__(
        self,
        input_tensor: Float[Tensor, "b *image"],
        targets: Sequence[Callable[[Any], Tensor]] | None = None,
        aug_smooth: bool = False,
        eigen_smooth: bool = False,
    ) -> Float[np.ndarray, "b *size"]:
        """Return the maps, in [0, 1], at the size of the images.

        Args:
            input_tensor: preprocessed images.
            targets: one for each image, from what the model returns for it to the number that is explained; None for
                the largest output.
            aug_smooth: average the maps of six changed images.
            eigen_smooth: take the first principal component of the channels in place of their sum.

        Raises:
            ShapleyCamError: with one line that says what was found, what was expected and what to do.
        """
        check_images(input_tensor, "input_tensor")
        smooth = ["eigen"] if eigen_smooth and self.takes_eigen_smooth else []
        if not aug_smooth:
            return self._maps(input_tensor, targets, smooth)
        if self.tta_transforms is None:
            return self._maps(input_tensor, targets, [*smooth, "augment"])
        maps = []
        for transform in self.tta_transforms:
            changed = self._maps(transform.augment_image(input_tensor), targets, smooth)
            maps.append(transform.deaugment_mask(torch.from_numpy(changed)[:, None])[:, 0])
        return _as_array(torch.stack(maps).mean(0))

    def __enter__(self) -> BaseCAM:  # noqa: PYI034  # typing.Self is of Python 3.11 on, and of no use to scripts
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: nothing was left on the model."""

    def output_of(self, images: Float[Tensor, "b *image"]) -> Any:
        """Return what the model returns for images."""
        check_images(images, "input_tensor")
        return self._explainers.any_layout.output(images, utility_of(None, len(images)))

    def _maps(
        self, images: Tensor, targets: Sequence[Callable[[Any], Tensor]] | None, smooth: Sequence[str]
    ) -> Float[np.ndarray, "b *size"]:
        """Return the maps of one call; remember what the model returned."""
        utility = utility_of(targets, len(images))
        explainer = self._explainers.at(images)
        method = str(self.method)
        [comparison] = explainer.compare_with(EstimatorOptions(), images, [method], [None], utility, smooth=smooth)
        explanation = comparison[method]
        output = explanation.output
        self.outputs = self.output_of(images) if output is None else output
        return _as_array(explanation.heatmap)


def _as_array(maps: Tensor) -> Float[np.ndarray, "b *size"]:
    array: Float[np.ndarray, "b *size"] = maps.detach().float().cpu().numpy()
    return array
