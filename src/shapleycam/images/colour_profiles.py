"""Embedded colour profiles: how far they would change a picture, since its samples are read as they are stored."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageCms, features

_SIDE = 32
"""Pixels on each side of the sample of a picture on which the profile is tried."""
_OTHER_PICTURE = 25.0
"""Mean change of a sample of 0 to 255 beyond which a picture looks quite different. Profiles of 200 photographs of
ImageNet change less: Adobe RGB 3 to 6, those of cameras 1 to 3, those of early Macs 14 to 15."""
_LARGEST = 4_000_000
"""Bytes of a profile at most; those of printing processes take one or two million."""
_WITHOUT_ALPHA = {"RGBA": "RGB", "P": "RGB", "LA": "L"}


def remark_on_profile(image: Image.Image, name: str) -> str | None:
    """Return a remark on a picture that its colour profile would make a quite different one, or None.

    Profiles are not applied (docs/decisions.md, "Colour profiles are not applied"). A profile that cannot be used, or
    is of other channels than the picture, is ignored, as browsers ignore it.

    Examples:
        >>> from PIL import Image
        >>> from shapleycam.images.colour_profiles import remark_on_profile
        >>> remark_on_profile(Image.new("RGB", (4, 3)), "cat.jpg") is None  # it has no profile
        True
    """
    content = image.info.get("icc_profile")
    mode = _WITHOUT_ALPHA.get(image.mode, image.mode)
    if not content or len(content) > _LARGEST or mode not in {"RGB", "L", "CMYK"} or not features.check("littlecms2"):
        return None
    sample = image.resize((_SIDE, _SIDE), Image.Resampling.NEAREST).convert(mode)
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(content))
        title = " ".join(ImageCms.getProfileDescription(profile).split())
        shown = ImageCms.profileToProfile(sample, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    if shown is None:
        return None
    pixels, stored = (np.asarray(each, dtype=np.float64) for each in (shown, sample.convert("RGB")))
    change = float(np.abs(pixels - stored).mean())
    if change <= _OTHER_PICTURE:
        return None
    return (
        f"{name}: its colour profile, {title!r}, would change the samples by {change:.0f} of 255 on average, and is "
        "not applied, as the loaders that networks are trained with do not: browsers show other colours than those "
        "explained; convert the picture to sRGB if they are meant"
    )
