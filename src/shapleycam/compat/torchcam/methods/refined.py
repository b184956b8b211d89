"""torch-cam's extractor of the product of several layers, which asks another extractor for their maps."""

from __future__ import annotations

from typing import Any, Self

from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.compat.torchcam.extractor import IMAGE_SHAPE, Extractor
from shapleycam.compat.torchcam.maps import check_maps, scale_map, stack_maps
from shapleycam.compat.torchcam.methods.gradient import GradCAMpp
from shapleycam.compat.torchcam.scores import ClassIndex, Targets
from shapleycam.errors import OptionError


class ExtractorWrapper:
    """What asks another extractor, whose model, layers and hook it has."""

    def __init__(self, base_cam: Extractor) -> None:
        self.base_cam = base_cam

    @property
    def model(self) -> nn.Module:
        """Return the model that is explained."""
        return self.base_cam.model

    @property
    def target_names(self) -> list[str]:
        """Return the names of the layers."""
        return self.base_cam.target_names

    def enable_hooks(self) -> None:
        """Remember forward passes."""
        self.base_cam.enable_hooks()

    def disable_hooks(self) -> None:
        """Take no notice of forward passes."""
        self.base_cam.disable_hooks()

    def reset_hooks(self) -> None:
        """Forget the forward pass."""
        self.base_cam.reset_hooks()

    def remove_hooks(self) -> None:
        """Remove the hook from the model."""
        self.base_cam.remove_hooks()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.base_cam.__exit__()

    def __repr__(self) -> str:
        base = type(self.base_cam).__name__
        return f"{type(self).__name__}(base_method={base}, target_layer={self.target_names})"


class RefineCAM(ExtractorWrapper):
    """The product of the maps of several layers: `fuse="product"` of `Explainer`, at the size of the finest layer.

    Args:
        model: as of `GradCAM`.
        target_layer: at least two layers.
        input_shape: as of `GradCAM`.
        base_method: the extractor that makes the maps.
        base_arguments: of that extractor.

    Raises:
        OptionError: fewer than two layers, or a base method that is no extractor.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.torchcam.methods import LayerCAM, RefineCAM
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(*layers)
        >>> with RefineCAM(model, ["0", "1"], base_method=LayerCAM) as extractor:
        ...     scores = model(torch.rand(2, 3, 8, 8))
        ...     extractor([2, 0], scores)[0].shape
        torch.Size([2, 6, 6])
    """

    def __init__(
        self,
        model: nn.Module,
        target_layer: list[nn.Module | str],
        input_shape: tuple[int, ...] = IMAGE_SHAPE,
        *,
        base_method: type[Extractor] = GradCAMpp,
        **base_arguments: Any,
    ) -> None:
        if not isinstance(target_layer, list) or len(target_layer) < 2:
            raise OptionError(f"target_layer={target_layer!r:.80}; expected a list of two or more layers to multiply")
        check_base(base_method)
        super().__init__(base_method(model, target_layer, input_shape=input_shape, **base_arguments))

    def __call__(
        self,
        class_idx: ClassIndex = None,
        scores: Any = None,
        normalized: bool = True,
        target_shape: tuple[int, ...] | None = None,
        *,
        targets: Targets = None,
        **_: Any,
    ) -> list[Float[Tensor, "b *size"]]:
        """Return one map, as a list; arguments and errors as of `GradCAM`, and `target_shape` as of `fuse_cams`."""
        return [self.fuse_cams(self.base_cam(class_idx, scores, targets=targets), target_shape, normalized)]

    compute_cams = __call__

    @staticmethod
    def fuse_cams(
        cams: list[Float[Tensor, "b *grid"]], target_shape: tuple[int, ...] | None = None, normalized: bool = True
    ) -> Float[Tensor, "b *size"]:
        """Return the product of maps, each scaled to [0, 1] and resized to the largest size or `target_shape`.

        Raises:
            OptionError: no list of maps of the same images and as many axes; no `target_shape` of these axes.
        """
        check_maps(cams)
        product = stack_maps([scale_map(each) for each in cams], target_shape).prod(0)
        return scale_map(product) if normalized else product


def check_base(base: Any) -> None:
    if not isinstance(base, type) or not issubclass(base, Extractor):
        raise OptionError(f"base_method is {base!r:.80}; expected a class of shapleycam.compat.torchcam.methods")
