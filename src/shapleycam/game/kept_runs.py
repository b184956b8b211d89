"""A cache of utilities of coalitions, so that interrupted long work does not repeat runs of the head.

The key of a batch of coalitions is a hash of everything that its utilities are computed from. So a cached result equals
the result of the computation bit for bit, whatever the order of the work.
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
"""The utilities (a, s) of batches of coalitions, on the CPU, by the hash of everything they were computed from."""


class KeptRuns:
    """A cache of utilities of batches of coalitions, for one model and layer.

    Args:
        context: a text that identifies the model with its weights, the layer and all settings; it is part of the key.
        blocks: the cached utilities; new ones are added to this mapping.
        added: a function that is called after each batch that was computed and added.

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
        """Return the utilities of the batch whose key is made of these parts; compute them if they are not cached."""
        key = _hash([self._context, *made_of])
        if key not in self._blocks:
            self._blocks[key] = compute().detach().cpu()
            self._added()
        return self._blocks[key].to(device)


@contextmanager
def keeping_runs(kept: KeptRuns | None) -> Iterator[None]:
    """Context in which all games cache their runs of the head in `kept`; None disables the cache.

    All games inside must belong to the model and layer that the context of `kept` identifies: the weights are not part
    of the key of a batch.
    """
    token = _current.set(kept)
    try:
        yield
    finally:
        _current.reset(token)


def current_kept_runs() -> KeptRuns | None:
    """Return the cache that games use now; None without one."""
    return _current.get()


def row_hashes(*tensors: Tensor) -> list[bytes]:
    """Return b hashes: the hash of row i covers row i of each tensor (b, ...), with numbers, shapes and types.

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
    """Return the bytes of a tensor's numbers, in row-major order."""
    content: bytes = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return content


def _hash(parts: Sequence[bytes]) -> bytes:
    """Return the SHA-256 of a list of parts; each part is preceded by its length, so that different lists differ."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


_current: ContextVar[KeptRuns | None] = ContextVar("cache of runs of the head", default=None)
