"""A network that says how red, green, blue and white a photograph is, and photographs of these colours."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from shapleycam import Network, Preprocess

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
SIDE = 16


class Patches(nn.Module):
    """The mean colour of 4 x 4 pixels as red, green, blue and white."""

    def forward(self, x: Tensor) -> Tensor:
        colours = nn.functional.avg_pool2d(x, 4)
        white = colours.amin(1, keepdim=True)
        return torch.cat([colours - white, white], 1)


class ColourNetwork(nn.Module):
    """How red, green, blue and white an image is, the mean over its patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = Patches()

    def forward(self, x: Tensor) -> Tensor:
        return 20 * self.patches(x).mean((2, 3))


NETWORK = Network(
    ColourNetwork().eval(), Preprocess(SIDE, (SIDE, SIDE), (0.0,) * 3, (1.0,) * 3), tuple(COLOURS), "colours"
)


def four_colours() -> Network:
    """The network, for whoever names a function of a file."""
    return NETWORK


def colour_photographs(folder: Path) -> Path:
    """Three photographs of each colour, in a folder called by it, and a grey one that nobody is sure of."""
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (20, 24), colour).save(folder / name / f"{number}.png")
    Image.new("RGB", (20, 20), (64, 64, 64)).save(folder / "red" / "grey.png")
    return folder
