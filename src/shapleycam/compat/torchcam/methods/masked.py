"""torch-cam's extractors by masked images."""

from __future__ import annotations

from typing import Unpack

from torch import nn

from shapleycam.cams.channel_masks import NOISE, NOISY_MASKS, SHARES
from shapleycam.compat.torchcam.constants import check_constants
from shapleycam.compat.torchcam.extractor import IMAGE_SHAPE, Extractor, HookArguments, TargetLayer


class ScoreCAM(Extractor):
    """`scorecam`.

    Args:
        model: as of `GradCAM`.
        target_layer: as of `GradCAM`.
        batch_size: not needed, as batches are as large as fits into memory.
        input_shape: as of `GradCAM`.
        hooks: `enable_hooks` and `reshape_transform`, as of `GradCAM`.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.torchcam.methods import ScoreCAM
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(*layers)
        >>> with ScoreCAM(model, "1", input_shape=(3, 8, 8)) as extractor:
        ...     scores = model(torch.rand(2, 3, 8, 8))
        ...     extractor([2, 0], scores)[0].shape
        torch.Size([2, 6, 6])
    """

    method = "scorecam"
    is_of_scores = False

    def __init__(
        self,
        model: nn.Module,
        target_layer: TargetLayer = None,
        batch_size: int = 32,
        input_shape: tuple[int, ...] = IMAGE_SHAPE,
        **hooks: Unpack[HookArguments],
    ) -> None:
        super().__init__(model, target_layer, input_shape, **hooks)
        self.bs = batch_size


class SSCAM(ScoreCAM):
    """`sscam`: its noise is drawn from each image's content; arguments as of `ScoreCAM`.

    Args:
        model: as of `GradCAM`.
        target_layer: as of `GradCAM`.
        batch_size: as of `ScoreCAM`.
        num_samples: 10 noisy masks of each channel.
        std: 2, the noise's standard deviation.
        input_shape: as of `GradCAM`.
        hooks: `enable_hooks` and `reshape_transform`, as of `GradCAM`.

    Raises:
        OptionError: another number or deviation.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.torchcam.methods import SSCAM
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(*layers)
        >>> with SSCAM(model, "1", input_shape=(3, 8, 8)) as extractor:
        ...     scores = model(torch.rand(2, 3, 8, 8))
        ...     extractor([2, 0], scores)[0].shape
        torch.Size([2, 6, 6])
    """

    method = "sscam"

    def __init__(
        self,
        model: nn.Module,
        target_layer: TargetLayer = None,
        batch_size: int = 32,
        num_samples: int = NOISY_MASKS,
        std: float = NOISE,
        input_shape: tuple[int, ...] = IMAGE_SHAPE,
        **hooks: Unpack[HookArguments],
    ) -> None:
        check_constants({"num_samples": num_samples, "std": std}, {"num_samples": NOISY_MASKS, "std": NOISE})
        super().__init__(model, target_layer, batch_size, input_shape, **hooks)


class ISCAM(ScoreCAM):
    """`iscam`; arguments as of `ScoreCAM`.

    Args:
        model: as of `GradCAM`.
        target_layer: as of `GradCAM`.
        batch_size: as of `ScoreCAM`.
        num_samples: 10 shares of each channel's mask.
        input_shape: as of `GradCAM`.
        hooks: `enable_hooks` and `reshape_transform`, as of `GradCAM`.

    Raises:
        OptionError: another number.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.torchcam.methods import ISCAM
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(*layers)
        >>> with ISCAM(model, "1", input_shape=(3, 8, 8)) as extractor:
        ...     scores = model(torch.rand(2, 3, 8, 8))
        ...     extractor([2, 0], scores)[0].shape
        torch.Size([2, 6, 6])
    """

    method = "iscam"

    def __init__(
        self,
        model: nn.Module,
        target_layer: TargetLayer = None,
        batch_size: int = 32,
        num_samples: int = len(SHARES),
        input_shape: tuple[int, ...] = IMAGE_SHAPE,
        **hooks: Unpack[HookArguments],
    ) -> None:
        check_constants({"num_samples": num_samples}, {"num_samples": len(SHARES)})
        super().__init__(model, target_layer, batch_size, input_shape, **hooks)
