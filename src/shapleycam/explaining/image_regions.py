"""Regions of the image as players, by name: superpixels, and the model's patches."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from shapleycam.errors import OptionError
from shapleycam.game.channels import CHANNELS
from shapleycam.game.players import Regions
from shapleycam.models.layout import Size, spatial_size
from shapleycam.models.network import Transform
from shapleycam.models.preprocess import Preprocess
from shapleycam.models.token_declaration import declared_patches
from shapleycam.names import canonical_name
from shapleycam.tracing.input_layer import image_as_layer

SUPERPIXELS, PATCHES = "superpixels", "patches"
DEFAULT_SUPERPIXELS = 50
"""Default number of superpixels of an image."""


def check_region_name(name: str) -> str:
    """Return the canonical spelling of a name of regions, with the number of superpixels if the name has one.

    Raises:
        OptionError: an unknown name, or an invalid number.

    Examples:
        >>> from shapleycam.explaining.image_regions import check_region_name
        >>> check_region_name("Superpixels:80"), check_region_name("patches")
        ('superpixels:80', 'patches')
    """
    word, colon, count = name.partition(":")
    known = canonical_name(word, (SUPERPIXELS, PATCHES))
    if known is None:
        raise OptionError(
            f"players {name!r} are unknown; expected {SUPERPIXELS!r}, '{SUPERPIXELS}:80', {PATCHES!r}, "
            "of a game 'channels', or a grid of regions, such as players=(7, 7)"
        )
    if colon and (known != SUPERPIXELS or not count.isdecimal() or int(count) < 2):
        raise OptionError(f"players {name!r}: expected '{SUPERPIXELS}:80', a number from 2 on, or {PATCHES!r}")
    return f"{known}{colon}{int(count) if colon else ''}"


def regions_of_images(
    players: Regions,
    model: nn.Module,
    layer: str,
    images: Float[Tensor, "b *image"],
    preprocess: Transform | None,
    *,
    is_at_input: bool,
) -> Regions:
    """Return players as a game takes them: a name of regions becomes labels of the pixels (b, h, w) or (h, w).

    Raises:
        OptionError: an unknown name, regions of the image at another layer than the input, a model without patches, or
            an image that cannot be divided into these regions.
    """
    if not isinstance(players, str) or players == CHANNELS:
        return players
    name = check_region_name(players)
    if not is_at_input:
        raise OptionError(
            f"players {name!r} are regions of the image, and layer {layer!r} is inside the model; expected "
            f"{image_as_layer(layer)}, or a grid of regions of the layer's cells, such as players=(3, 3)"
        )
    if images.dim() != 4:
        raise OptionError(
            f"players {name!r} are of images (b, c, h, w), and these have shape {tuple(images.shape)}; give whole "
            "numbers, one for each cell"
        )
    if name == PATCHES:
        return _patches(model, spatial_size(tuple(images.shape)))
    count = int(name.partition(":")[2] or DEFAULT_SUPERPIXELS)
    from shapleycam.explaining.superpixels import superpixels

    return torch.stack([superpixels(_colours(image, preprocess), count) for image in images])


def _patches(model: nn.Module, size: Size) -> Int[Tensor, "h w"]:
    """Return the index of the model's patch that each pixel lies in; patches are in reading order."""
    declared = declared_patches(model)
    if len(declared) != 1:
        sizes = ", ".join(" x ".join(map(str, patch)) for patch in sorted(declared))
        patches = f"the model declares patches of several sizes ({sizes})" if declared else "the model declares none"
        raise OptionError(
            f"players {PATCHES!r}: {patches}; expected one size, as vision transformers have: give a grid, such as "
            f"players=(14, 14), or {SUPERPIXELS!r}"
        )
    (patch,) = declared
    rows, columns = (torch.arange(side, device="cpu") // step for side, step in zip(size, patch, strict=True))
    return rows[:, None] * (int(columns[-1]) + 1) + columns


def _colours(image: Float[Tensor, "c h w"], preprocess: Transform | None) -> Any:
    """Return an image as an array in [0, 1]: (h, w, 3) of colours if they can be restored, else (h, w, c)."""
    if isinstance(preprocess, Preprocess) and len(image) in {1, 3}:
        return preprocess.picture(image).cpu().numpy() / 255
    low, high = image.aminmax()
    stretched = (image - low) / (high - low) if high > low else torch.zeros_like(image)
    return stretched.movedim(0, -1).double().cpu().numpy()
