"""Test once for each model that tokens can be dropped, by two comparisons.

- Each token must depend only on its own patch. Images are changed at half of the patches: those with a certain bit in
  the patch's index, and those without it. So any two patches differ in at least one of these images.
- The output of some tokens must equal the output of all tokens with the others masked in attention, by -infinity before
  the softmax. So only attention connects tokens, and they are neither counted nor averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

from shapleycam.errors import OptionError, ShapleyCamError
from shapleycam.game.dropping.patches import PatchGrid
from shapleycam.gpu_failures import is_out_of_memory
from shapleycam.tracing import Trace
from shapleycam.tracing.checks import mark_checked, needs_check
from shapleycam.tracing.interception import intercept_calls
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.tracing.layer_output import activation_in
from shapleycam.tracing.running import run

OutputOfPatches: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""A function of the presence of patches (rows, patches) and the index of each row's image (rows,)."""
_ROUNDING = 1e-4
"""Tolerance relative to the largest number, since kernels for other numbers of tokens may differ."""
_LEAST_CHANGE = 1e-3
"""Minimum change of a token whose patch changes, relative to the largest change of a token."""
_SOFTMAXES = (torch.softmax, torch.nn.functional.softmax, torch.Tensor.softmax)
_ATTENTION_ARGUMENTS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
_INSTEAD = "choose removal 'zero', 'blur' or 'impute'"


def check_dropping(at_tokens: Trace, patches: PatchGrid, output_of: OutputOfPatches) -> None:
    """Refuse a model whose tokens cannot be dropped; a model that passes is not tested again.

    Args:
        at_tokens: a pass that is traced where tokens are complete.
        patches: the patches of its images.
        output_of: runs the head of this pass without absent tokens.

    Raises:
        OptionError: a comparison fails; the message says which one.
    """
    tokens = at_tokens.activation
    key = "dropping", at_tokens.layer, tokens.shape[1:], tokens.dtype, tokens.device, at_tokens.utility_input
    if not needs_check(at_tokens.owner, key):
        return
    if tokens.dim() != 3 or tokens.shape[1] <= patches.count:
        raise OptionError(
            f"removal 'drop': the model has {tokens.shape[1]} tokens for {patches.count} patches; expected one for "
            f"each and a class token, which remains when all are left out: {_INSTEAD}"
        )
    _check_tokens(at_tokens, patches)
    _check_class_token(patches, output_of, tokens.device)
    _check_attention(at_tokens, patches, output_of)
    mark_checked(at_tokens.owner, key)


def _check_tokens(at_tokens: Trace, patches: PatchGrid) -> None:
    """Refuse tokens that do not each depend on their own patch only, in reading order and after prefix tokens."""
    image, prefix = at_tokens.images[:1], at_tokens.activation.shape[1] - patches.count
    numbers, bits = torch.arange(patches.count, device="cpu"), range((patches.count - 1).bit_length())
    halves = [(numbers >> bit) % 2 == side for bit in bits for side in (0, 1)] or [numbers == 0]
    disturbed = torch.stack(halves)
    pixels = disturbed[:, patches.number][:, None].to(image.device)
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu")
    spread = image.std().clamp(min=1e-3)
    changed = torch.where(pixels, image + spread * noise.to(image), image)
    before, after = _tokens_of(at_tokens, image), _tokens_of(at_tokens, changed)
    change = (after - before).norm(dim=2)
    rounding = _ROUNDING * before.norm(dim=2).amax()
    depends = change[:, prefix:] > _LEAST_CHANGE * change.amax()
    has_other = bool((change[:, :prefix] > rounding).any()) or bool((change[:, prefix:] > rounding)[~disturbed].any())
    if has_other or not torch.equal(depends.cpu(), disturbed):
        raise OptionError(
            f"removal 'drop': the tokens that enter {at_tokens.layer!r} are not each made of one patch, in reading "
            f"order; expected a model that embeds patches by themselves: {_INSTEAD}"
        )


def _tokens_of(at_tokens: Trace, images: Float[Tensor, "rows c h w"]) -> Float[Tensor, "rows tokens k"]:
    """Return the complete tokens of images that were made from the first image."""
    layer, tokens = at_tokens.layer, list[Tensor]()

    def keep(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        value = original(*args, **kwargs)
        tokens.append(activation_in(value, layer).detach().clone())
        return value

    first = torch.zeros(len(images), dtype=torch.long, device="cpu")
    with isolated_copy(at_tokens.owner) as copied, intercept_calls({copied.get_submodule(layer): keep}):
        run(copied, images, at_tokens.extra.rows(first))
    return tokens[0]


def _check_class_token(patches: PatchGrid, output_of: OutputOfPatches, device: torch.device) -> None:
    """Refuse a model that has no output without patches, such as a model that averages their tokens."""
    no_patches = torch.zeros(1, patches.count, dtype=torch.bool, device=device)
    try:
        output = output_of(no_patches, torch.zeros(1, dtype=torch.long, device=device))
        is_finite = bool(torch.isfinite(output).all())
    except (ShapleyCamError, RuntimeError) as error:
        if is_out_of_memory(error) or isinstance(error, OptionError):
            raise
        is_finite = False
    if not is_finite:
        raise OptionError(
            "removal 'drop': the model has no output where all patches are left out, as one that averages their tokens "
            f"has none; expected one that reads its class token alone: {_INSTEAD}"
        )


def _check_attention(at_tokens: Trace, patches: PatchGrid, output_of: OutputOfPatches) -> None:
    """Refuse a model whose output without some tokens differs from the output with these tokens masked in attention."""
    tokens = at_tokens.activation.detach()
    share = torch.tensor([[0.5], [0.9], [0.1]], dtype=torch.float32, device="cpu")
    drawn = torch.rand(3, patches.count, generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu")
    present = (drawn < share).to(tokens.device)
    first = torch.zeros(len(present), dtype=torch.long, device=tokens.device)
    prefix = torch.ones(len(present), tokens.shape[1] - patches.count, dtype=torch.bool, device=tokens.device)
    dropped = output_of(present, first)
    with HiddenTokens(torch.cat([prefix, present], 1)) as hidden:
        masked = at_tokens.head(tokens[first], first)
    largest = max(float(masked.abs().amax()), float(dropped.abs().amax()))
    if not hidden.attentions or not bool(((dropped - masked).abs() <= _ROUNDING * largest).all()):
        raise OptionError(
            "removal 'drop': without some tokens the model gives another output than where attention is kept from "
            "them, so that something else reads them, as a mean over tokens does; expected one that reads its class "
            f"token alone: {_INSTEAD}"
        )


class HiddenTokens(TorchFunctionMode):
    """Context that masks absent tokens in attention: before each softmax over tokens their scores are -infinity.

    Attributes:
        attentions: the number of attentions that were masked.
    """

    def __init__(self, present: Bool[Tensor, "rows tokens"]) -> None:
        super().__init__()
        self._present = present
        self.attentions = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        changed = self._without_tokens(func, args, dict(kwargs or {}))
        if changed is None:
            return func(*args, **(kwargs or {}))
        self.attentions += 1
        return func(*changed[0], **changed[1])

    def _without_tokens(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any] | None:
        """Return the arguments with which an attention is masked; None for any other function.

        An attention that already has a mask is not changed, so that the comparison fails.
        """
        tokens = self._present.shape[1]
        if func is torch.nn.functional.multi_head_attention_forward:  # its own softmax is not shown to a mode
            is_free = kwargs.get("key_padding_mask") is None
            return (args, kwargs | {"key_padding_mask": ~self._present}) if is_free else None
        if func is torch.nn.functional.scaled_dot_product_attention and args[1].shape[-2] == tokens:
            kwargs |= dict(zip(_ATTENTION_ARGUMENTS, args, strict=False))
            is_free = kwargs.get("attn_mask") is None
            return ((), kwargs | {"attn_mask": self._bias(args[0])}) if is_free else None
        if func in _SOFTMAXES and args[0].dim() >= 3 and args[0].shape[-1] == tokens:
            return (args[0] + self._bias(args[0]), *args[1:]), kwargs
        return None

    def _bias(self, like: Tensor) -> Tensor:
        """Return 0 for present tokens and -infinity for absent tokens, (rows, 1, .., 1, tokens)."""
        bias = torch.zeros(self._present.shape, dtype=like.dtype, device=like.device)
        bias = bias.masked_fill(~self._present, -torch.inf)
        return bias.reshape(len(bias), *[1] * (like.dim() - 2), -1)
