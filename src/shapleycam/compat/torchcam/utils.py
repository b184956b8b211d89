"""torch-cam's overlay of a map on a picture."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Colormap
from PIL import Image

from shapleycam.errors import OptionError

_EIGHT_BITS = frozenset({"1", "L", "P", "RGB", "YCbCr", "LAB", "HSV"})
"""Modes of pictures that become RGB without loss of their brightness."""
_OVERSHOOT = 0.25
"""How far a map in [0, 1] may lie beyond, as one that was resized by a cubic."""


def overlay_mask(
    img: Image.Image, mask: Image.Image, colormap: Colormap | str = "jet", alpha: float = 0.7
) -> Image.Image:
    """Return a picture with a map over it: the map in [0, 1] is resized, squared and coloured.

    Args:
        img: greyscale or RGB.
        mask: of floats (mode "F"), as `PIL.Image.fromarray(map.numpy())` makes it.
        colormap: matplotlib's, or its name.
        alpha: the weight of the picture, from 0 up to 1.

    Raises:
        OptionError: an argument of another kind.

    Examples:
        >>> import numpy as np
        >>> from PIL import Image
        >>> from shapleycam.compat.torchcam.utils import overlay_mask
        >>> heat = Image.fromarray(np.eye(2, dtype=np.float32))
        >>> overlay_mask(Image.new("RGB", (4, 4)), heat, alpha=0.0).getpixel((0, 0))
        (127, 0, 0)
    """
    if not isinstance(img, Image.Image) or not isinstance(mask, Image.Image):
        kinds = f"{type(img).__name__} and {type(mask).__name__}"
        raise OptionError(f"img and mask are {kinds}; expected two images of PIL: use PIL.Image.fromarray")
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 <= alpha < 1:
        raise OptionError(f"alpha={alpha!r}; expected a weight of the picture from 0 to below 1")
    if img.mode not in _EIGHT_BITS:
        raise OptionError(
            f"img has mode {img.mode}; expected a greyscale or an RGB image of 8 bits: convert it first, and divide "
            "what has more bits"
        )
    _check_mask(mask)
    heat = np.asarray(mask.resize(img.size, resample=Image.Resampling.BICUBIC))
    try:
        colours = mpl.colormaps.get_cmap(colormap)
    except (TypeError, ValueError) as error:
        raise OptionError(f"colormap={colormap!r}; expected a colour map of matplotlib's, or its name") from error
    coloured = colours(heat**2, bytes=True)[..., :3]
    return Image.blend(Image.fromarray(coloured), img.convert("RGB"), alpha)


def _check_mask(mask: Image.Image) -> None:
    """Refuse what is no map in [0, 1]: its square would be of other numbers.

    Raises:
        OptionError: another mode than "F", or other numbers.
    """
    if mask.mode != "F":
        raise OptionError(
            f"mask has mode {mask.mode}; expected floats in [0, 1], mode F, as PIL.Image.fromarray(map.numpy()) or "
            "to_pil_image(map, mode='F') makes it"
        )
    heat = np.asarray(mask)
    if not np.isfinite(heat).all() or heat.min() < -_OVERSHOOT or heat.max() > 1 + _OVERSHOOT:
        raise OptionError(
            f"mask has numbers from {heat.min():.4g} to {heat.max():.4g}; expected a map in [0, 1], as an extractor "
            "returns it with normalized=True"
        )
