"""pytorch-grad-cam's functions of images and maps, without OpenCV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral, Real

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL.Image import Image
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
_ROUNDING = 1e-4
"""How far numbers in [0, 1] may lie beyond."""


def preprocess_image(
    img: np.ndarray, mean: Sequence[float] = (0.5, 0.5, 0.5), std: Sequence[float] = (0.5, 0.5, 0.5)
) -> Float[Tensor, "1 c h w"]:
    """Return an image (h, w, c), of bytes or of floats in [0, 1], as a normalised tensor.

    Raises:
        ImageError: something else, or another number of channels than `mean` and `std` have.
    """
    image = np.asarray(img) if isinstance(img, Image) else img
    if not isinstance(image, np.ndarray) or image.ndim != 3 or not image.shape[2] == len(mean) == len(std):
        raise ImageError(f"img is {_form(image)}; expected an array (h, w, {len(mean)}), as mean= has numbers")
    if image.dtype != np.uint8 and not (np.issubdtype(image.dtype, np.floating) and _is_in_unit_range(image)):
        raise ImageError(f"img is {_form(image)} with {_range(image)}; expected bytes, or floats in [0, 1]")
    normalised: Tensor = normalize(to_tensor(image.copy()), list(mean), list(std))
    return normalised[None]


def deprocess_image(img: Float[np.ndarray, "*size"]) -> UInt8[np.ndarray, "*size"]:
    """Return numbers around their mean as bytes: the mean is 127, a standard deviation 25.

    Raises:
        ImageError: no array, or numbers that are not finite.

    Examples:
        >>> import numpy as np
        >>> from shapleycam.compat.grad_cam.utils.image import deprocess_image
        >>> deprocess_image(np.array([1.0, 2.0, 3.0]))[1]
        np.uint8(127)
    """
    if not isinstance(img, np.ndarray) or not np.isfinite(img).all():
        raise ImageError(f"img is {_form(img)}, or not finite; expected an array of finite numbers")
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
        ImageError: no image (h, w, 3) in [0, 1].
        OptionError: no map (h, w) in [0, 1] of the image's size, another weight, or a colour map that is not here.
    """
    if not isinstance(img, np.ndarray) or img.ndim != 3 or img.shape[2] not in {1, 3}:
        raise ImageError(f"the image is {_form(img)}; expected an array (h, w, 3) of floats in [0, 1]")
    if not _is_in_unit_range(img):
        raise ImageError(f"the image has {_range(img)}; expected floats in [0, 1]: divide bytes by 255")
    if not isinstance(mask, np.ndarray) or mask.shape != img.shape[:2]:
        raise OptionError(f"the map is {_form(mask)}; expected an array {img.shape[:2]}, as the image has it")
    if not _is_in_unit_range(mask):
        raise OptionError(f"the map is {_form(mask)} with {_range(mask)}; expected floats in [0, 1]")
    is_weight = isinstance(image_weight, Real) and 0 <= image_weight <= 1
    if not is_weight or not isinstance(colormap, Integral) or colormap not in COLORMAPS:
        raise OptionError(
            f"image_weight={image_weight}, colormap={colormap}; expected a weight in [0, 1] and a colour map among "
            f"{', '.join(f'{number} ({name})' for number, name in COLORMAPS.items())}"
        )
    levels = (255 * mask.clip(0, 1)).astype(np.uint8)
    rgb = _colours(levels, int(colormap)).astype(np.float32)
    heat = rgb if use_rgb else rgb[..., ::-1]
    blended = (1 - image_weight) * heat + image_weight * img
    shown: np.ndarray = (255 * (blended / np.max(blended))).astype(np.uint8)
    return shown


def _form(thing: object) -> str:
    return f"an array {thing.shape} of {thing.dtype}" if isinstance(thing, np.ndarray) else f"a {type(thing).__name__}"


def _range(numbers: np.ndarray) -> str:
    if not np.isfinite(numbers).all():
        return "NaN or infinity"
    return f"numbers from {numbers.min():.4g} to {numbers.max():.4g}"


def _is_in_unit_range(numbers: np.ndarray) -> bool:
    """Return whether numbers are in [0, 1] but for rounding."""
    return bool(np.isfinite(numbers).all() and (numbers >= -_ROUNDING).all() and (numbers <= 1 + _ROUNDING).all())


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
    """Return each map scaled to [0, 1], at `target_size` (width, height), for volumes with the depth last.

    Raises:
        OptionError: no maps.
    """
    images = [np.float32(image) for image in cam]
    if not images:
        raise OptionError("there are no maps; expected at least one")
    maps = min_max(torch.from_numpy(np.stack(images)))
    return (maps if target_size is None else resize(maps, tuple(target_size[::-1]))).numpy()


def scale_accross_batch_and_channels(
    tensor: Float[np.ndarray, "b c h w"], target_size: tuple[int, int]
) -> Float[np.ndarray, "b c _ _"]:
    """Return maps of several channels, each scaled as `scale_cam_image` does."""
    scaled = scale_cam_image(tensor.reshape(-1, *tensor.shape[2:]), target_size)
    return scaled.reshape(*tensor.shape[:2], *scaled.shape[1:])
