"""The grid of a vision transformer's patches on its image, and a check that players consist of whole patches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from shapleycam.errors import OptionError
from shapleycam.game.players import Players
from shapleycam.models.token_declaration import declared_patches


@dataclass(frozen=True)
class PatchGrid:
    """Patches of `patch` pixels (height, width) that tile an image of `size` pixels, in reading order.

    Examples:
        >>> import torch
        >>> from shapleycam.game.dropping.patches import PatchGrid
        >>> grid = PatchGrid((2, 2), (4, 4))
        >>> grid.count, grid.of_pixels(torch.arange(16.0)).tolist()
        (4, [0.0, 2.0, 8.0, 10.0])
    """

    patch: tuple[int, int]
    size: tuple[int, int]

    @property
    def sides(self) -> tuple[int, int]:
        """Return the number of patches vertically and horizontally."""
        return self.size[0] // self.patch[0], self.size[1] // self.patch[1]

    @property
    def count(self) -> int:
        """Return the number of patches."""
        return self.sides[0] * self.sides[1]

    @property
    def number(self) -> Int[Tensor, "h w"]:
        """Return the index of each pixel's patch."""
        rows, columns = (
            torch.arange(side, device="cpu") // step for side, step in zip(self.size, self.patch, strict=True)
        )
        number: Tensor = rows[:, None] * self.sides[1] + columns
        return number

    def of_pixels(self, pixels: Tensor) -> Tensor:
        """Return (..., patches) of (..., pixels): the number at each patch's first pixel."""
        first: Tensor = pixels.unflatten(-1, self.size)[..., :: self.patch[0], :: self.patch[1]]
        return first.flatten(-2)


def patch_grid(model: nn.Module, images: Float[Tensor, "b c h w"]) -> PatchGrid:
    """Return the patches that a model declares, on images of this size.

    Raises:
        OptionError: it declares no patch size or several, or patches do not tile the images.
    """
    declared, size = declared_patches(model), (images.shape[2], images.shape[3])
    sizes = ", ".join(" x ".join(map(str, patch)) for patch in sorted(declared)) or "none"
    if len(declared) != 1:
        raise OptionError(f"removal 'drop': the model declares patches of these sizes: {sizes}; expected one size")
    (patch,) = declared
    if size[0] % patch[0] or size[1] % patch[1]:
        raise OptionError(
            f"removal 'drop': patches of {sizes} pixels do not tile images of {size[0]} x {size[1]}; give images whose "
            "sides are multiples of a patch's"
        )
    return PatchGrid((patch[0], patch[1]), size)


def check_whole_patches(players: Players, patches: PatchGrid) -> None:
    """Refuse players that divide a patch, because a token is either present or absent.

    Raises:
        OptionError: a patch belongs to several players.
    """
    member = players.member
    whole = patches.of_pixels(member)[:, patches.number.flatten().to(member.device)]
    if not torch.equal(member, whole):
        cut = len(patches.number.flatten().to(member.device)[(member != whole).any(0)].unique())
        height, width = patches.patch
        raise OptionError(
            f"removal 'drop' leaves out whole patches of {height} x {width} pixels, and players cut {cut} of "
            f"{patches.count}; expected players='patches', a grid whose regions are made of patches, such as "
            f"players={patches.sides}, or a label map with one label a patch"
        )
