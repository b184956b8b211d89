"""Run a vision transformer on its prefix tokens and the tokens of present patches.

A pass is traced where tokens have their position embeddings. The blocks after this place run by the same replay as the
head of any layer, on activations with fewer tokens. Rows with the same number of tokens run together, without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game.dropping.patches import PatchGrid, check_whole_patches, patch_grid
from shapleycam.game.dropping.proof import check_dropping
from shapleycam.game.head_runner import TENSORS_AT_ONCE, HeadRunner, Images, LargestTensor, Presence
from shapleycam.game.kept_runs import row_hashes
from shapleycam.game.players import Players
from shapleycam.models.token_entrance import PLAIN_TRANSFORMERS, token_entrance
from shapleycam.tracing import Trace, trace


class DroppingRunner(HeadRunner):
    """Runs the blocks of a vision transformer on the present tokens.

    Args:
        traced: a pass that is traced where the tokens (b, tokens, k) are complete, recorded for replay.
        patches: the patches of the image; their tokens come last.
    """

    sorts_by_presence = True

    def __init__(self, traced: Trace, patches: PatchGrid) -> None:
        self._traced, self._patches = traced, patches
        self._tokens = traced.activation.detach()
        self._prefix = self._tokens.shape[1] - patches.count

    @cached_property
    def bytes_per_coalition(self) -> int:
        first = torch.zeros(1, dtype=torch.long, device=self._tokens.device)
        with LargestTensor() as largest:
            self._traced.head(self._tokens[:1], first)
        return TENSORS_AT_ONCE * int(largest.bytes)

    @cached_property
    def row_hashes(self) -> Sequence[bytes] | None:
        return row_hashes(self._traced.images, self._tokens) if self._traced.extra.is_empty else None

    def outputs(self, presence: Presence, images: Images) -> Any:
        present = self._patches.of_pixels(presence).flatten(0, 1) > 0
        samples = images.repeat_interleave(presence.shape[1])
        return self.of_patches(present, samples)

    def of_patches(
        self, present: Bool[Tensor, "rows patches"], samples: Int[Tensor, " rows"]
    ) -> Float[Tensor, "rows *output"]:
        """Return the output for each row of present patches; `samples` are the indices of the rows' images."""
        counts = present.sum(1)
        output: Tensor | None = None
        for count in counts.unique().tolist():
            rows = (counts == count).nonzero().flatten()
            of_rows = self._of_equal_count(present[rows], samples[rows], int(count))
            output = of_rows.new_empty(len(present), *of_rows.shape[1:]) if output is None else output
            output[rows] = of_rows
        if output is None:
            raise ValueError("there are no rows")
        return output

    def _of_equal_count(self, present: Tensor, samples: Tensor, count: int) -> Tensor:
        kept = self._prefix + present.nonzero()[:, 1].reshape(len(present), count)
        prefix = torch.arange(self._prefix, device=kept.device).expand(len(present), -1)
        indices = torch.cat([prefix, kept], 1)
        output = self._traced.head_of_any_size(self._tokens[samples[:, None], indices], samples)
        if not isinstance(output, Tensor):
            raise OptionError(
                f"removal 'drop': the model returns a {type(output).__name__}; expected a tensor with a row for each "
                "image: choose it with output="
            )
        return output


def dropping_runners(traced: Trace, activation: Float[Tensor, "b *image"], players: Players) -> Sequence[HeadRunner]:
    """Return the runner that evaluates coalitions of patches without the tokens of absent patches.

    Raises:
        OptionError: the model is not a plain vision transformer, players cut its patches, or leaving out tokens is not
            proven to equal hiding them from every attention.

    Examples:
        >>> import torch, torchvision
        >>> from shapleycam import Explainer
        >>> vit = torchvision.models.VisionTransformer(32, 16, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=8)
        >>> game = Explainer(vit, layer="input", removal="drop").game(torch.rand(1, 3, 32, 32), players="patches")
        >>> game.n_players, torch.allclose(game.value(torch.ones(1, 4, dtype=torch.bool))[:, 0], game.grand, atol=1e-5)
        (4, True)
    """
    entrance = token_entrance(traced.owner)
    if entrance is None or activation.dim() != 4:
        raise OptionError(
            f"removal 'drop' leaves out tokens, and the model ({type(traced.owner).__name__}) is not one plain vision "
            f"transformer ({PLAIN_TRANSFORMERS}); choose removal 'zero', 'blur' or 'impute'"
        )
    patches = patch_grid(traced.owner, activation)
    check_whole_patches(players, patches)
    at_tokens = trace(traced.owner, traced.images, entrance, replay=True, select=traced.select, extra=traced.extra)
    if traced.utility_input is not None:
        at_tokens = at_tokens.read_as(traced.utility_input)
    runner = DroppingRunner(at_tokens, patches)
    check_dropping(at_tokens, patches, runner.of_patches)
    return [runner]
