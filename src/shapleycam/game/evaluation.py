"""Evaluating coalitions: in batches within the memory, by a shortcut where one is proven, with its values checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, ReplayError
from shapleycam.game.players import Players
from shapleycam.game.recording import recorded
from shapleycam.game.structure import Structure, structure_of
from shapleycam.game.ways import General, Pooled, Summed, Way
from shapleycam.tracing import Trace
from shapleycam.tracing.nested import numbers_of
from shapleycam.tracing.suspension import without_autocast
from shapleycam.utilities import Utility

_PROBES = 4
_AGAIN = 2
"""Random coalitions that a shortcut is tried on before its first use, and that are run the general way after each use;
beside them some of the strongest image, which wakes what sleeps in others.
"""
_ROUNDINGS = 100
"""How many roundings of the largest number at hand two ways of computing a utility may differ by."""


_Shortcut = TypeVar("_Shortcut", Pooled, Summed)


class Evaluation:
    """Utilities of coalitions for the images of a traced batch, `memory` bytes at a time."""

    def __init__(
        self, trace: Trace, players: Players, utility: Utility, target: Int[Tensor, " b"], memory: int
    ) -> None:
        self._trace, self._players, self._utility, self._target = trace, players, utility, target
        self._memory = memory
        self._picks = torch.Generator().manual_seed(0)

    def utilities(self, coalitions: Bool[Tensor, "a s n"], images: Int[Tensor, " a"]) -> Float[Tensor, "a s"]:
        """U(head(A·1_S)) of coalitions of the images `images`.

        Raises:
            OptionError: the utility is not finite for one.
            ReplayError: the pass was not recorded for replay, or a shortcut differs from the model itself.
        """
        with plain():
            found = self._by(self._way, coalitions, images)
            if self._way is not self._general and found.numel():
                self._check_again(coalitions, images, found)
            return found

    @property
    def structure(self) -> Structure:
        """Which shortcuts are right: the head's operations prove them, and some coalitions confirm them."""
        return Structure(reads_mean=self.pooled is not None, is_sum=self.summed is not None)

    @cached_property
    def pooled(self) -> Pooled | None:
        """The shortcut of a head that reads only the mean over positions, if this one does."""
        return self._confirmed(Pooled) if self._proven.reads_mean else None

    @cached_property
    def summed(self) -> Summed | None:
        """The shortcut of a head whose output is a sum over positions, if this one's is."""
        return self._confirmed(Summed) if self._proven.is_sum else None

    def same(self, found: Float[Tensor, "*rows"], expected: Float[Tensor, "*rows"], *, strict: bool = False) -> bool:
        """Whether two ways gave the same utilities, up to rounding; `strict` leaves a third of the room."""
        return not bool(self._differ(found, expected, 1 if strict else 3).any())

    def _differ(self, found: Tensor, expected: Tensor, room: int) -> Tensor:
        largest = max(_largest(tensor) for tensor in (expected, *numbers_of(self._trace.output)))
        limit = _ROUNDINGS * torch.finfo(self._trace.activation.dtype).eps * largest * room
        return ~((found - expected).abs() <= limit)  # NaN differs

    @cached_property
    def _proven(self) -> Structure:
        layout = self._players.layout
        if not isinstance(self._trace.output, torch.Tensor) or layout.prefix:
            return Structure()
        first = self._trace.activation.detach()[:1]
        whole = recorded(self._of_first, first.repeat_interleave(2, 0))
        try:
            single = recorded(
                self._of_first, layout.single_position(layout.positions(first).mean(1).repeat_interleave(3, 0))
            )
        except Exception:  # noqa: BLE001  # whatever a guest's head raises, it does not take a single position
            single = None
        return structure_of(whole, single, layout)

    def _of_first(self, rows: Tensor) -> Any:
        """The head of rows of the first image, of any size."""
        return self._trace.head_of_any_size(rows, torch.zeros(len(rows), dtype=torch.long, device=rows.device))

    @cached_property
    def _general(self) -> Way:
        return General(self._trace, self._players.layout)

    @cached_property
    def _way(self) -> Way:
        """The cheapest way that is right."""
        return self.summed or self.pooled or self._general

    @cached_property
    def _probes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Coalitions (p, 1, n), their images, and their utilities by the model itself.

        They are random ones of a few images, and of the strongest image all players, a random half, its strongest
        player alone, and all but this one.
        """
        image, player = self._strongest
        images = torch.arange(_PROBES) % len(self._trace.activation)
        images = torch.cat([images, torch.full((4,), image)]).to(self._trace.activation.device)
        size = (_PROBES + 1, self._players.count)
        drawn = torch.rand(size, generator=self._picks) < torch.rand((_PROBES + 1, 1), generator=self._picks)
        alone = self._alone(player)
        probes = torch.cat([drawn, torch.stack([torch.ones_like(alone), alone, ~alone])])[:, None].to(images.device)
        return probes, images, self._by(self._general, probes, images)

    @cached_property
    def _strongest(self) -> tuple[int, int]:
        """The image with the largest number in its activation, and the player who has it."""
        largest = self._players.layout.positions(self._trace.activation.detach()).abs().amax(2)
        image = int(largest.amax(1).argmax())
        return image, int(self._players.member[image, largest[image].argmax()])

    def _alone(self, player: int) -> Tensor:
        return torch.arange(self._players.count) == player

    def _confirmed(self, kind: type[_Shortcut]) -> _Shortcut | None:
        with plain():
            coalitions, images, expected = self._probes
            try:
                way = kind(self._trace, self._players.layout)
                found = self._by(way, coalitions, images)
            except Exception:  # noqa: BLE001  # whatever a guest's head raises, it does not take a single position
                return None
            return way if self.same(found, expected, strict=True) else None

    def _by(self, way: Way, coalitions: Tensor, images: Tensor) -> Tensor:
        found = torch.empty(coalitions.shape[:2], device=coalitions.device)
        few = coalitions.shape[:2].numel() <= 2 * _PROBES
        most = _PROBES if few else max(1, self._memory // way.bytes_a_coalition)
        many, each = coalitions.shape[:2]
        for which, some in _blocks(many, each, most):
            kept = self._players.presence(coalitions[which, some].float(), images[which])
            rows = images[which].repeat_interleave(kept.shape[1])
            output = way.outputs(kept, images[which])
            utility = self._utility(output, self._target[rows], rows).reshape(kept.shape[:2])
            found = found.to(utility.dtype)
            found[which, some] = utility
        check_finite(found, self._utility)
        return found

    def _check_again(self, coalitions: Tensor, images: Tensor, found: Tensor) -> None:
        """Run a random handful of a shortcut's coalitions through the model itself, and a player of the strongest image
        alone and left out.
        """
        picks = torch.randint(found.numel(), (_AGAIN,), generator=self._picks).to(found.device)
        which, some = picks // found.shape[1], picks % found.shape[1]
        alone = self._alone(int(torch.randint(self._players.count, (), generator=self._picks))).to(found.device)
        strong, image = torch.stack([alone, ~alone])[:, None], images.new_full((2,), self._strongest[0])
        short = torch.cat([found[which, some], self._by(self._way, strong, image)[:, 0]])
        again = torch.cat([coalitions[which, some][:, None], strong])
        self.check(short, self._by(self._general, again, torch.cat([images[which], image]))[:, 0])

    def check(self, short: Float[Tensor, "*rows"], expected: Float[Tensor, "*rows"]) -> None:
        """Refuse a shortcut's utilities that the model itself does not give.

        Raises:
            ReplayError: they differ.
        """
        differ = self._differ(short, expected, 3)
        if bool(differ.any()):
            raise ReplayError(
                f"layer {self._trace.layer!r}: the model itself gives utility {_first(expected[differ])}, the shortcut "
                f"that its recorded operations allow {_first(short[differ])}; expected the same: something there reads "
                "the activation unseen by autograd (detach, no_grad), so mend that, or choose another layer"
            )


def check_finite(worth: Float[Tensor, "*rows"], utility: Utility) -> None:
    """Refuse a utility that is not a number.

    Raises:
        OptionError: naming what was found.
    """
    if not bool(torch.isfinite(worth).all()):
        found = worth[~torch.isfinite(worth)][:3].tolist()
        raise OptionError(f"utility {utility.name!r} is not finite ({found}); expected a finite number an image")


@contextmanager
def plain() -> Iterator[None]:
    """Gradients and autocast off, and tensors that may be used in a graph later."""
    with torch.inference_mode(mode=False), torch.no_grad(), without_autocast():
        yield


def _largest(tensor: Tensor) -> float:
    """The largest number, beside logits of -infinity."""
    return float(tensor.detach().masked_fill(tensor.detach() == -torch.inf, 0).abs().amax()) if tensor.numel() else 0.0


def _blocks(images: int, coalitions: int, rows: int) -> Iterator[tuple[slice, slice]]:
    """Covers images x coalitions by blocks of at most `rows`."""
    many = max(1, rows // max(1, coalitions))
    step = min(rows, max(1, coalitions))
    for image in range(0, images, many):
        for start in range(0, coalitions, step):
            yield slice(image, image + many), slice(start, start + step)


def _first(tensor: Tensor) -> str:
    return ", ".join(f"{value:.6g}" for value in tensor.flatten()[:4].tolist())
