"""pytorch-grad-cam's functions of images and maps, without OpenCV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torchvision.transforms.functional import normalize, to_tensor

from shapleycam.cams.heatmaps import min_max, resize
from shapleycam.errors import ImageError, OptionError

JET = 2
COLORMAPS = {
    0: "autumn",
    1: "bone",
    JET: "jet",
    3: "winter",
    6: "summer",
    7: "spring",
    8: "cool",
    13: "magma",
    14: "inferno",
    15: "plasma",
    16: "viridis",
    17: "cividis",
    20: "turbo",
}
"""The colour maps of OpenCV that are here, by their numbers there (cv2.COLORMAP_JET is 2)."""


def preprocess_image(
    img: np.ndarray, mean: Sequence[float] = (0.5, 0.5, 0.5), std: Sequence[float] = (0.5, 0.5, 0.5)
) -> Float[Tensor, "1 c h w"]:
    """Return an image (h, w, c), of bytes or of floats in [0, 1], as a normalised tensor."""
    normalised: Tensor = normalize(to_tensor(img.copy()), list(mean), list(std))
    return normalised[None]


def deprocess_image(img: Float[np.ndarray, "*size"]) -> UInt8[np.ndarray, "*size"]:
    """Return numbers around their mean as bytes: the mean is 127, a standard deviation 25.

    Examples:
        >>> import numpy as np
        >>> from shapleycam.compat.grad_cam.utils.image import deprocess_image
        >>> deprocess_image(np.array([1.0, 2.0, 3.0]))[1]
        np.uint8(127)
    """
    standardised = (img - np.mean(img)) / (np.std(img) + 1e-5)
    deprocessed: np.ndarray = (np.clip(standardised * 0.1 + 0.5, 0, 1) * 255).astype(np.uint8)
    return deprocessed


def show_cam_on_image(
    img: Float[np.ndarray, "h w 3"],
    mask: Float[np.ndarray, "h w"],
    use_rgb: bool = False,
    colormap: int = JET,
    image_weight: float = 0.5,
) -> UInt8[np.ndarray, "h w 3"]:
    """Return an image with a map over it in colours; the brightest number becomes 255.

    Args:
        img: in [0, 1].
        mask: in [0, 1].
        use_rgb: whether the image is in RGB, not BGR.
        colormap: the number of one of OpenCV's.
        image_weight: of the image; the map has the rest.

    Raises:
        ImageError: an image above 1.
        OptionError: another weight, or a colour map that is not here.
    """
    if np.max(img) > 1:
        raise ImageError(f"the image goes up to {np.max(img):.4g}; expected floats in [0, 1]: divide bytes by 255")
    if not 0 <= image_weight <= 1 or colormap not in COLORMAPS:
        raise OptionError(
            f"image_weight={image_weight}, colormap={colormap}; expected a weight in [0, 1] and a colour map among "
            f"{', '.join(f'{number} ({name})' for number, name in COLORMAPS.items())}"
        )
    rgb = _colours((255 * mask).astype(np.uint8), colormap).astype(np.float32)
    heat = rgb if use_rgb else rgb[..., ::-1]
    blended = (1 - image_weight) * heat + image_weight * img
    shown: np.ndarray = (255 * (blended / np.max(blended))).astype(np.uint8)
    return shown


def _colours(levels: UInt8[np.ndarray, "h w"], colormap: int) -> Float[np.ndarray, "h w 3"]:
    """Return RGB in [0, 1]; OpenCV's jet is another than matplotlib's, the others are the same to one step of 255."""
    if colormap != JET:
        return np.asarray(mpl.colormaps[COLORMAPS[colormap]](levels))[..., :3]
    distances = np.abs(4 * (levels[..., None] / 255) - np.array([3, 2, 1]))
    jet: np.ndarray = np.clip(1.5 - distances, 0, 1)
    return jet


def scale_cam_image(
    cam: Iterable[np.ndarray], target_size: tuple[int, ...] | None = None
) -> Float[np.ndarray, "b *size"]:
    """Return each map scaled to [0, 1], at `target_size` (width, height), for volumes with the depth last."""
    maps = min_max(torch.from_numpy(np.stack([np.float32(image) for image in cam])))
    return (maps if target_size is None else resize(maps, tuple(target_size[::-1]))).numpy()


def scale_accross_batch_and_channels(
    tensor: Float[np.ndarray, "b c h w"], target_size: tuple[int, int]
) -> Float[np.ndarray, "b c _ _"]:
    """Return maps of several channels, each scaled as `scale_cam_image` does."""
    scaled = scale_cam_image(tensor.reshape(-1, *tensor.shape[2:]), target_size)
    return scaled.reshape(*tensor.shape[:2], *scaled.shape[1:])
