"""torch-cam's overlay of a map on a picture."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Colormap
from PIL import Image

from shapleycam.errors import OptionError


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
    if len(img.getbands()) not in {1, 3}:
        raise OptionError(f"img has mode {img.mode}; expected a greyscale or an RGB image: convert it first")
    heat = np.asarray(mask.resize(img.size, resample=Image.Resampling.BICUBIC))
    coloured = mpl.colormaps.get_cmap(colormap)(heat**2, bytes=True)[..., :3]
    return Image.blend(Image.fromarray(coloured), img.convert("RGB"), alpha)
