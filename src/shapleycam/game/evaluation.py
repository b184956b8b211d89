"""Evaluating coalitions: in batches within the memory, by a shortcut where one is proven, with its values checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, ReplayError
from shapleycam.game.players import Players
from shapleycam.game.structure import Structure, recorded, structure_of
from shapleycam.game.ways import General, Pooled, Summed, Way
from shapleycam.trace import Trace
from shapleycam.trace.nested import numbers_of
from shapleycam.trace.suspension import without_autocast
from shapleycam.utilities import Utility

_PROBES = 4
_AGAIN = 2
"""Coalitions that a shortcut is tried on before its first use, and that are run the general way after each use."""
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
        largest = max(_largest(tensor) for tensor in (expected, *numbers_of(self._trace.output)))
        room = _ROUNDINGS * torch.finfo(self._trace.activation.dtype).eps * largest * (1 if strict else 3)
        return bool(((found - expected).abs() <= room).all())

    @cached_property
    def _proven(self) -> Structure:
        if not isinstance(self._trace.output, torch.Tensor):
            return Structure()
        activation = self._trace.activation.detach()
        twice = torch.zeros(
            2, dtype=torch.long, device=activation.device
        )  # two rows, as one could not be told from all
        output, leaf = recorded(lambda rows: self._trace.head(rows, twice), activation[twice])
        return structure_of(output, leaf, self._players.layout)

    @cached_property
    def _general(self) -> Way:
        return General(self._trace, self._players.layout)

    @cached_property
    def _way(self) -> Way:
        """The cheapest way that is right."""
        return self.summed or self.pooled or self._general

    @cached_property
    def _probes(self) -> tuple[Tensor, Tensor, Tensor]:
        """A few random coalitions of a few images, and their utilities by the model itself."""
        device = self._trace.activation.device
        images = torch.arange(min(len(self._trace.activation), _PROBES), device=device)
        size = (len(images), -(-_PROBES // len(images)), self._players.count)
        probes = torch.rand(size, generator=self._picks) < torch.rand((*size[:2], 1), generator=self._picks)
        return probes.to(device), images, self._by(self._general, probes.to(device), images)

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
        few = coalitions.shape[:2].numel() <= _PROBES
        most = _PROBES if few else max(1, self._memory // way.bytes_a_coalition)
        many, each = coalitions.shape[:2]
        for which, some in _blocks(many, each, most):
            kept = self._players.positions(coalitions[which, some].float(), images[which])
            rows = images[which].repeat_interleave(kept.shape[1])
            output = way.outputs(kept, images[which])
            utility = self._utility(output, self._target[rows], rows).reshape(kept.shape[:2])
            found = found.to(utility.dtype)
            found[which, some] = utility
        check_finite(found, self._utility)
        return found

    def _check_again(self, coalitions: Tensor, images: Tensor, found: Tensor) -> None:
        """Run a random handful of a shortcut's coalitions through the model itself."""
        picks = torch.randint(found.numel(), (_AGAIN,), generator=self._picks).to(found.device)
        which, some = picks // found.shape[1], picks % found.shape[1]
        expected = self._by(self._general, coalitions[which, some][:, None], images[which])[:, 0]
        self.check(found[which, some], expected)

    def check(self, short: Float[Tensor, "*rows"], expected: Float[Tensor, "*rows"]) -> None:
        """Refuse a shortcut's utilities that the model itself does not give.

        Raises:
            ReplayError: they differ.
        """
        if not self.same(short, expected):
            raise ReplayError(
                f"layer {self._trace.layer!r}: the model itself gives utility {_first(expected)}, the shortcut that "
                f"its recorded operations allow {_first(short)}; expected the same: something there reads the "
                "activation unseen by autograd (detach, no_grad), so mend that, or choose another layer"
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
