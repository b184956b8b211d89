"""Models that continue a text about an image (LLaVA and similar), as classifiers over the next token."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import ModelError, OptionError, ShapleyCamError
from shapleycam.gpu_failures import is_out_of_memory
from shapleycam.models.eval_mode import in_eval_mode
from shapleycam.models.network import Network
from shapleycam.models.transforms import as_transform
from shapleycam.wording import type_and_first_line

_PIXELS = "pixel_values"
_NOT_READ = {"labels", "past_key_values", "use_cache", "return_dict", _PIXELS}
"""Inputs that a processor or a user may add, but that do not belong to the prompt."""


class NextToken(nn.Module):
    """Logits (b, vocabulary) of the token that follows a prompt, the same for all images (b, c, h, w)."""

    def __init__(self, model: nn.Module, prompt: Mapping[str, Tensor], *, one_tile: bool) -> None:
        super().__init__()
        self.model = model
        self.one_tile = one_tile
        self.names = tuple(prompt)
        for name, tensor in prompt.items():
            self.register_buffer(f"prompt_{name}", tensor, persistent=False)
        accepted = inspect.signature(model.forward).parameters
        preferred = {"use_cache": False, "logits_to_keep": 1}  # no key-value cache, and logits of the last token only
        self.options = {name: value for name, value in preferred.items() if name in accepted}

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b vocabulary"]:
        """Return the logits of the next token for each image."""
        prompts = {name: self.get_buffer(f"prompt_{name}") for name in self.names}
        rows = {name: tensor.expand(len(images), *tensor.shape[1:]) for name, tensor in prompts.items()}
        pixels = images[:, None] if self.one_tile else images
        logits = getattr(self.model(**rows, pixel_values=pixels, **self.options), "logits", None)
        if not isinstance(logits, torch.Tensor) or logits.dim() != 3:
            shape = f"logits {tuple(logits.shape)}" if isinstance(logits, torch.Tensor) else "no logits"
            raise ModelError(
                f"model {type(self.model).__name__} returns {shape}; expected logits (b, length, vocabulary) of the "
                "tokens, as transformers' models ...ForConditionalGeneration return"
            )
        return logits[:, -1]


def next_token(model: nn.Module, inputs: Mapping[str, Any], processor: Any = None) -> Network:
    """Return a network that classifies an image by the token that follows a prompt; its classes are the vocabulary.

    Explain it with the utility "log_probability" and a token as the target: its number, or its spelling in the
    vocabulary ("▁dog", "Ġdog").

    Args:
        model: a vision-language model from transformers; its forward takes `pixel_values` and tokens and returns
            logits (b, length, vocabulary).
        inputs: the output of the model's processor for one prompt and one image, `processor(images=photo, text=prompt,
            return_tensors="pt")`. Everything except `pixel_values` belongs to the prompt and is used for all images.
        processor: the processor, which preprocesses photographs and spells tokens; None if only tensors are explained
            and tokens are given as numbers.

    Raises:
        OptionError: the inputs are not one prompt with one image (1, c, h, w), or the prompt ends in padding.
        ModelError: the model has no weights, does not run on the inputs, or does not return logits of tokens.

    Examples:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> from shapleycam import Explainer, next_token
        >>> class Tiny(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.vision, self.words = torch.nn.Conv2d(3, 4, 4, stride=4), torch.nn.Embedding(5, 4)
        ...
        ...     def forward(self, input_ids, pixel_values):
        ...         places = self.vision(pixel_values).mean((2, 3))
        ...         return SimpleNamespace(logits=(self.words(input_ids) + places[:, None]) @ self.words.weight.T)
        >>> inputs = {"input_ids": torch.tensor([[0, 2]]), "pixel_values": torch.rand(1, 3, 8, 8)}
        >>> explainer = Explainer(next_token(Tiny(), inputs), utility="log_probability", device="cpu")
        >>> explainer.explain(inputs["pixel_values"], "gradcam", target=3).values.shape
        torch.Size([1, 2, 2])
    """
    if not isinstance(model, nn.Module) or next(model.parameters(), None) is None:
        kind = type(model).__name__
        raise ModelError(
            f"the model is a {kind}{' without weights' if isinstance(model, nn.Module) else ''}; expected a model of "
            "images and texts, such as transformers' LlavaForConditionalGeneration.from_pretrained(...)"
        )
    if not isinstance(inputs, Mapping) or not isinstance(inputs.get(_PIXELS), torch.Tensor):
        raise OptionError(
            f"the inputs are {_described(inputs)}; expected what the processor makes of one prompt and one image, as "
            "PyTorch's tensors, with pixel_values"
        )
    pixels: Tensor = inputs[_PIXELS]
    one_tile = pixels.dim() == 5 and pixels.shape[1] == 1
    if not (pixels.dim() == 4 or one_tile) or len(pixels) != 1:
        raise OptionError(
            f"pixel_values have the shape {tuple(pixels.shape)}; expected one image (1, c, h, w): a prompt with "
            "several images, an image in several tiles and flattened patches cannot be explained as one image"
        )
    network = NextToken(model, _prompt_in(inputs, next(model.parameters()).device), one_tile=one_tile)
    # With one tile the user must give preprocess=, because image processors cut some photographs into several tiles.
    transform = None if one_tile else getattr(processor, "image_processor", None)
    preprocess = None if transform is None else as_transform(transform)
    labels = _spellings(processor, _vocabulary(network, pixels[:, 0] if one_tile else pixels))
    return Network(network, preprocess, labels, type(model).__name__)


def _prompt_in(inputs: Mapping[str, Any], device: torch.device) -> dict[str, Tensor]:
    """Return the inputs that belong to the prompt, each with one row, on the model's device.

    Raises:
        OptionError: there are no tokens, several prompts, padding after the prompt, or padding in the image.
    """
    prompt = {name: tensor for name, tensor in inputs.items() if name not in _NOT_READ and tensor is not None}
    for name, tensor in prompt.items():
        if not isinstance(tensor, torch.Tensor) or tensor.dim() == 0 or len(tensor) != 1:
            raise OptionError(
                f"{name} is {_described(tensor)}; expected a tensor (1, ...) of one prompt, as the processor "
                "makes PyTorch's tensors"
            )
    if not any(name.endswith("input_ids") for name in prompt):
        raise OptionError(
            f"the inputs hold {', '.join(inputs)}; expected input_ids (1, length) too, the prompt's tokens"
        )
    for name, tensor in prompt.items():
        if name == "pixel_attention_mask" and not bool(tensor.bool().all()):
            raise OptionError("a part of the image is padding; expected an image that fills the model's input: crop it")
        if tensor.numel() == 0:
            raise OptionError(f"{name} is of shape {tuple(tensor.shape)}; expected at least one token in the prompt")
        if name.endswith("attention_mask") and not bool(tensor.reshape(-1)[-1]):
            raise OptionError(
                f"the prompt ends in padding ({name} ends in 0), so that its last place is not that of the next "
                "token; expected a prompt without padding, or with padding before it"
            )
    return {name: tensor.detach().to(device) for name, tensor in prompt.items()}


def _vocabulary(network: NextToken, pixels: Tensor) -> int:
    """Return the number of tokens in the model's output, found by running it on the inputs' image.

    Raises:
        ModelError: the model does not run on the inputs, or does not return logits of tokens.
    """
    parameter = next(network.model.parameters())
    with in_eval_mode(network.model):
        try:
            logits: Tensor = network(pixels.to(parameter.device, parameter.dtype))
        except (TypeError, ValueError, RuntimeError, LookupError) as error:
            if isinstance(error, ShapleyCamError) or is_out_of_memory(error):
                raise
            raise ModelError(
                f"model {type(network.model).__name__} does not run on {', '.join(network.names)} and pixel_values: "
                f"{type_and_first_line(error)}; expected the inputs that its own processor makes"
            ) from error
    return logits.shape[1]


def _spellings(processor: Any, vocabulary: int) -> tuple[str, ...] | None:
    """Return the vocabulary's spelling of each token; None without a tokenizer. Tokens without one become "token 7"."""
    tokenizer = getattr(processor, "tokenizer", processor)
    if not hasattr(tokenizer, "convert_ids_to_tokens"):
        return None
    spelled = tokenizer.convert_ids_to_tokens(list(range(min(len(tokenizer), vocabulary))))
    tokens = [f"token {index}" if token is None else str(token) for index, token in enumerate(spelled)]
    return (*tokens, *(f"token {index}" for index in range(len(tokens), vocabulary)))


def _described(value: Any) -> str:
    return f"of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
