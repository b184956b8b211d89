"""Check shortcuts against the model itself: choose coalitions to compare, and decide whether two utilities agree."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.errors import ReplayError
from shapleycam.game.contents import Contents
from shapleycam.game.players import Players
from shapleycam.tracing import Trace
from shapleycam.tracing.nested import float_tensors_of

PROBES = 4
"""Random coalitions that a shortcut is checked on before its first use, in addition to those of the strongest image."""
_PICKS = 2
"""Coalitions that are compared with the model itself after each use of a shortcut."""
_ROUNDINGS = 100
"""Tolerance between two ways to compute a utility: this multiple of the machine epsilon times the largest number."""
_TOLERANCE_FACTOR = 3
"""Factor on the tolerance after the first use, so that a shortcut that just passed is not refused later."""


class ShortcutCheck:
    """Chooses the coalitions that shortcuts are checked on, and compares utilities.

    The strongest image, which has the largest number in its activation, is always checked, because it may activate
    units of the head that are zero for the other images (see "A shortcut is also tried on the strongest image" in
    docs/decisions.md).
    """

    def __init__(self, trace: Trace, contents: Contents, players: Players) -> None:
        self._trace, self._contents, self._players = trace, contents, players
        self._generator = torch.Generator().manual_seed(0)

    def probes(self) -> tuple[Bool[Tensor, "p 1 n"], Int[Tensor, " p"]]:
        """Return the coalitions to check a shortcut on before its first use, and the image of each.

        They are random coalitions of a few images, and four coalitions of the strongest image: a random one, all
        players, only the strongest player, and all other players.
        """
        image, player = self._strongest_of(torch.arange(len(self._trace.activation), device="cpu"))
        images = torch.arange(PROBES, device="cpu") % len(self._trace.activation)
        images = torch.cat([images, torch.full((4,), image, device="cpu")]).to(self._trace.activation.device)
        size = (PROBES + 1, self._players.count)
        drawn = torch.rand(size, generator=self._generator, dtype=torch.float32, device="cpu") < torch.rand(
            (PROBES + 1, 1), generator=self._generator, dtype=torch.float32, device="cpu"
        )
        single = self._single_player(player)
        coalitions = torch.cat([drawn, torch.stack([torch.ones_like(single), single, ~single])])
        return coalitions[:, None].to(images.device), images

    def pick(self, size: torch.Size, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the indices (image, coalition) of some of the coalitions just evaluated, chosen at random."""
        picks = torch.randint(size.numel(), (_PICKS,), generator=self._generator, device="cpu").to(device)
        return picks // size[1], picks % size[1]

    def probes_of_strongest_image(self, images: Int[Tensor, " a"]) -> tuple[Bool[Tensor, "2 1 n"], Int[Tensor, " 2"]]:
        """Return two coalitions of the strongest of these images: only one random player, and all other players.

        The result is on the device of `images`. Only these images are considered, since a shortcut may not have its
        tables for others.
        """
        player = int(torch.randint(self._players.count, (), generator=self._generator, device="cpu"))
        single = self._single_player(player).to(images.device)
        return torch.stack([single, ~single])[:, None], images.new_full((2,), self._strongest_of(images)[0])

    def confirms(self, utilities: Float[Tensor, "*rows"], expected: Float[Tensor, "*rows"]) -> bool:
        """Return whether a shortcut's utilities equal the model's own, `expected`, up to rounding."""
        return not bool(self._differ(utilities, expected, 1).any())

    def refuse_difference(self, utilities: Float[Tensor, "*rows"], expected: Float[Tensor, "*rows"]) -> None:
        """Refuse a shortcut's utilities if they differ from the model's own, `expected`.

        Raises:
            ReplayError: they differ by more than rounding.
        """
        differ = self._differ(utilities, expected, _TOLERANCE_FACTOR)
        if bool(differ.any()):
            raise ReplayError(
                f"layer {self._trace.layer!r}: the model itself gives utility {_listed(expected[differ])}, the "
                f"shortcut that its recorded operations allow {_listed(utilities[differ])}; expected the same: "
                "something there reads the activation unseen by autograd (detach, no_grad), so mend that, or choose "
                "another layer"
            )

    def _differ(self, utilities: Tensor, expected: Tensor, factor: int) -> Tensor:
        largest = max(_largest(tensor) for tensor in (expected, *float_tensors_of(self._trace.output)))
        limit = _ROUNDINGS * torch.finfo(self._trace.activation.dtype).eps * largest * factor
        return ~((utilities - expected).abs() <= limit)  # NaN counts as a difference

    @cached_property
    def _largest_numbers(self) -> Float[Tensor, "b positions"]:
        """Return the largest number at each position, present or removed, on the CPU."""
        contents = self._contents
        return torch.maximum(contents.positions.abs().amax(2), contents.absent_positions.abs().amax(2)).cpu()

    def _strongest_of(self, images: Int[Tensor, " a"]) -> tuple[int, int]:
        """Return which of these images has the largest number in its activation, and the player at this position."""
        images = images.cpu()
        largest = self._largest_numbers[images]
        index = int(largest.amax(1).argmax())
        image = int(images[index])
        return image, int(self._players.member[image, largest[index].argmax()])

    def _single_player(self, player: int) -> Tensor:
        """Return the coalition (n,) of a single player."""
        return torch.arange(self._players.count, device="cpu") == player


def _largest(tensor: Tensor) -> float:
    """Return the largest absolute number in a tensor; -infinity (a masked logit) is ignored; 0 for an empty tensor."""
    return float(tensor.detach().masked_fill(tensor.detach() == -torch.inf, 0).abs().amax()) if tensor.numel() else 0.0


def _listed(tensor: Tensor) -> str:
    """Return the first four numbers of a tensor, for a message."""
    return ", ".join(f"{value:.6g}" for value in tensor.flatten()[:4].tolist())
