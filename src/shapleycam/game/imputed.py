"""Removal by imputation: absent pixels are filled in from the present ones, so that they depend on the coalition.

The imputation is ROAD's (Rong et al. 2022, arXiv:2202.00449): an absent pixel is the weighted mean of its neighbours
plus noise. The noise hides from the model which pixels were filled in.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game.contents import CoalitionContents
from shapleycam.game.head_runner import GeneralRunner, HeadRunner
from shapleycam.game.imputation import draw_noise, impute
from shapleycam.game.players import Players
from shapleycam.models.layout import Layout
from shapleycam.tracing import Trace

NOISE = 0.01
"""Standard deviation of the noise in the network's units, as the default of ROAD's metrics."""
_SEED = 0


class ImputedContents(CoalitionContents):
    """Images whose absent pixels are filled in from the present ones.

    The noise of an image is drawn once, from its content, so that a coalition has the same pixels in each batch. If all
    pixels are absent, the image is its mean colour plus the noise.

    Examples:
        >>> import torch
        >>> from shapleycam.game.imputed import ImputedContents
        >>> from shapleycam.models.layout import Layout
        >>> image = torch.tensor([1.0, 9.0, 3.0]).expand(1, 1, 1, 3)
        >>> contents = ImputedContents(image, Layout("NCHW", (1, 3)))
        >>> row = contents.of_coalitions(torch.tensor([[[1.0, 0.0, 1.0]]]), torch.tensor([0])).flatten()
        >>> row[[0, 2]], bool((row[1] - 2).abs() < 0.1)
        (tensor([1., 3.]), True)
    """

    def __init__(self, activation: Float[Tensor, "b c h w"], layout: Layout) -> None:
        self.activation, self.layout = activation, layout
        self._noise = draw_noise(activation, NOISE, _SEED)

    def of_coalitions(
        self, presence: Float[Tensor, "a s positions"], images: Int[Tensor, " a"]
    ) -> Float[Tensor, "a s c h w"]:
        """Return the images of coalitions: unchanged where `presence` is 1, and filled in where it is 0."""
        absent = (presence == 0).unflatten(2, self.layout.grid).flatten(0, 1)
        samples = images.repeat_interleave(presence.shape[1])
        filled = impute(self.activation[samples], absent) + self._noise[samples] * absent[:, None]
        rows = torch.where(absent[:, None], filled, self.activation[samples])
        unflattened: Tensor = rows.unflatten(0, presence.shape[:2])
        return unflattened

    @property
    def tensors(self) -> tuple[Float[Tensor, "b c h w"], ...]:
        """Return the images and the noise."""
        return self.activation, self._noise


def imputing_runners(trace: Trace, activation: Float[Tensor, "b *image"], players: Players) -> Sequence[HeadRunner]:
    """Return the runner that evaluates coalitions of pixels by imputation.

    Raises:
        OptionError: the images are not (b, c, h, w).
    """
    if activation.dim() != 4:
        raise OptionError(
            f"removal 'impute' is of images (b, c, h, w), and these have shape {tuple(activation.shape)}; choose "
            "removal 'zero', 'mean' or a tensor"
        )
    return [GeneralRunner(trace, ImputedContents(activation, players.layout))]
