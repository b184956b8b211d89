"""Runs of the head that are kept, so that long work which was stopped need not make them again.

A batch of coalitions is known by a hash of all that its utilities are computed from, not by its place in the work. So
what is found again is what the same computation would give, bit for bit, in whatever order it is asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

BlocksByKey: TypeAlias = MutableMapping[bytes, Tensor]
"""The utilities (a, s) of batches of coalitions, on the CPU, by the hash of what they were computed from."""


class KeptRuns:
    """Utilities of batches of coalitions of one model at one layer.

    Args:
        context: what names the model with its weights, the layer and all settings; other contexts share nothing.
        blocks: what is kept; new utilities are added to it.
        added: is called after each batch that was computed and added.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.game.kept_runs import KeptRuns, keeping_runs
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten()).eval()
        >>> game = Explainer(model, layer="input").game(torch.rand(1, 3, 8, 8), players=(2, 2))
        >>> blocks = {}
        >>> with keeping_runs(KeptRuns("this model", blocks)):
        ...     values = game.value(torch.eye(4, dtype=torch.bool))
        >>> [tuple(utilities.shape) for utilities in blocks.values()]
        [(1, 4)]
    """

    def __init__(self, context: str, blocks: BlocksByKey, added: Callable[[], None] = lambda: None) -> None:
        self._context, self._blocks, self._added = context.encode(), blocks, added

    def utilities(
        self, made_of: Sequence[bytes], compute: Callable[[], Float[Tensor, "a s"]], device: torch.device
    ) -> Float[Tensor, "a s"]:
        """Return the utilities of a batch that is made of these parts, computed unless they are kept."""
        key = _hash([self._context, *made_of])
        if key not in self._blocks:
            self._blocks[key] = compute().detach().cpu()
            self._added()
        return self._blocks[key].to(device)


@contextmanager
def keeping_runs(kept: KeptRuns | None) -> Iterator[None]:
    """Let games keep their runs of the head there while the context lasts; None keeps none.

    All games inside must be of the model and the layer of `kept`: its context names them, and no hash of weights is
    made for each batch.
    """
    token = _current.set(kept)
    try:
        yield
    finally:
        _current.reset(token)


def current_kept_runs() -> KeptRuns | None:
    """Return where games keep their runs now; None where they keep none."""
    return _current.get()


def row_hashes(*tensors: Tensor) -> list[bytes]:
    """Return a hash of each row of tensors (b, ...) of any shapes, of its numbers, shapes and kinds.

    Examples:
        >>> import torch
        >>> from shapleycam.game.kept_runs import row_hashes
        >>> first, second = row_hashes(torch.tensor([[1.0], [2.0]]), torch.tensor([3.0, 3.0]))
        >>> first == row_hashes(torch.tensor([[1.0]]), torch.tensor([3.0]))[0], first == second
        (True, False)
    """
    kinds = "; ".join(f"{tensor.dtype} {tuple(tensor.shape[1:])}" for tensor in tensors).encode()
    return [_hash([kinds, *map(bytes_of, rows)]) for rows in zip(*tensors, strict=True)]


def bytes_of(tensor: Tensor) -> bytes:
    """Return the numbers of a tensor as they lie in memory."""
    content: bytes = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return content


def _hash(parts: Sequence[bytes]) -> bytes:
    """Return the SHA-256 of several parts, each with its length, so that no two lists have the same."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


_current: ContextVar[KeptRuns | None] = ContextVar("where games keep their runs of the head", default=None)
