"""Models that compare images with texts (CLIP, SigLIP), as zero-shot classifiers whose classes are the texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from shapleycam.errors import ModelError, OptionError
from shapleycam.gpu_failures import is_out_of_memory
from shapleycam.models.eval_mode import in_eval_mode
from shapleycam.models.network import Network
from shapleycam.models.transforms import as_transform
from shapleycam.wording import type_and_first_line

_TOLERANCE = 0.02
"""Tolerance for differences between logits, relative to the largest: half precision rounds them."""


class ImageText(nn.Module):
    """A classifier with logits (b, texts) = scale · cos(image embedding, text embedding) + bias, as in training."""

    def __init__(self, model: nn.Module, texts: Float[Tensor, "texts d"]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("texts", normalize(texts.detach(), dim=1))

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b texts"]:
        """Return the logits (b, texts) of images."""
        embeddings = normalize(_embeddings_in(_image_encoder(self.model)(images)), dim=1)
        scale, bias = getattr(self.model, "logit_scale", None), getattr(self.model, "logit_bias", None)
        logits = embeddings @ self.get_buffer("texts").T.to(embeddings.dtype)
        logits = logits if scale is None else logits * scale.exp()
        return logits if bias is None else logits + bias


def zero_shot(model: nn.Module, texts: Sequence[str], tokenizer: Any, preprocess: Any = None) -> Network:
    """Return a zero-shot classifier, a network whose classes are texts.

    Args:
        model: a model of open_clip, or transformers' CLIP or SigLIP.
        texts: one for each class; for a single text use the utility "value".
        tokenizer: the model's own (open_clip.get_tokenizer, AutoTokenizer, or a processor that holds one).
        preprocess: the transform or image processor for photographs; None takes the one of a processor that was
            given as `tokenizer`, if it has one.

    Raises:
        ModelError: the model has no known encoders, does not run on the tokens, or computes its logits differently.
        OptionError: `texts` is not a list of texts, or the tokenizer is not the model's.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer, zero_shot
        >>> class Tiny(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.conv = torch.nn.Conv2d(3, 4, 4, stride=4)
        ...
        ...     def encode_image(self, images):
        ...         return self.conv(images).mean((2, 3))
        ...
        ...     def encode_text(self, tokens):
        ...         return tokens
        >>> def tokenizer(texts):
        ...     return torch.eye(4)[: len(texts)]
        >>> network = zero_shot(Tiny(), ["a cat", "a dog"], tokenizer)
        >>> explainer = Explainer(network, layer="model.conv", device="cpu")
        >>> explainer.explain(torch.rand(1, 3, 8, 8), "sampledshapley", target="a dog").heatmap.shape
        torch.Size([1, 8, 8])
    """
    is_list = isinstance(texts, Sequence) and not isinstance(texts, str)
    if not is_list or not texts or not all(isinstance(text, str) for text in texts):
        raise OptionError(f"texts={texts!r}; expected a list of texts")
    own_tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    if not callable(own_tokenizer):
        raise OptionError(
            f"the tokenizer is a {type(own_tokenizer).__name__}; expected the model's own: "
            "open_clip.get_tokenizer(...), AutoTokenizer.from_pretrained(...), or a processor that holds one"
        )
    encode_text = _text_encoder(model)
    _image_encoder(model)  # called for its error: refuse a model without an image encoder now, not when it first runs
    parameter = next(model.parameters())
    with in_eval_mode(model):
        padding = _padding(getattr(model, "config", None))
        tokens = _tokens(own_tokenizer, list(texts), padding, parameter.device)
        embeddings = _embeddings_in(_encode(encode_text, tokens, type(model).__name__))
        if len(embeddings) != len(texts):
            raise OptionError(
                f"texts given: {len(texts)}, embeddings that tokenizer and model make of them: {len(embeddings)}; "
                "expected one for each: give the model's own tokenizer"
            )
        classifier = ImageText(model, embeddings.to(parameter.dtype))
        _check_logits(classifier, tokens, parameter)
    transform = preprocess if preprocess is not None else getattr(tokenizer, "image_processor", None)
    return Network(
        classifier, None if transform is None else as_transform(transform), tuple(texts), type(model).__name__
    )


def _padding(config: Any) -> dict[str, Any]:
    """Return the padding options for a transformers tokenizer, the same as in transformers' zero-shot pipeline.

    SigLIP reads a text's last position and was trained on texts padded to the maximum length.
    """
    if "siglip" not in str(getattr(config, "model_type", "")):
        return {"padding": True}
    return {"padding": "max_length", "max_length": config.text_config.max_position_embeddings, "truncation": True}


def _tokens(tokenizer: Any, texts: list[str], padding: dict[str, Any], device: torch.device) -> Any:
    """Return the tokens of texts: a tensor (texts, length), or a mapping of such tensors."""
    if hasattr(tokenizer, "pad"):  # a tokenizer of transformers
        return {key: value.to(device) for key, value in tokenizer(texts, return_tensors="pt", **padding).items()}
    tokens = tokenizer(texts)
    if not isinstance(tokens, torch.Tensor):
        raise OptionError(
            f"the tokenizer returns a {type(tokens).__name__}; expected a tensor (texts, length), as open_clip's does"
        )
    return tokens.to(device)


def _encode(encode_text: Any, tokens: Any, name: str) -> Any:
    """Return the output of the text encoder for tokens.

    Raises:
        ModelError: the encoder does not run on them.
    """
    try:
        return encode_text(**tokens) if isinstance(tokens, Mapping) else encode_text(tokens)
    except (TypeError, ValueError, RuntimeError, LookupError) as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"the text encoder of model {name} does not run on the tokens of the texts: {type_and_first_line(error)}; "
            "expected the model's own tokenizer, and texts no longer than it can read"
        ) from error


def _check_logits(classifier: ImageText, tokens: Any, parameter: Tensor) -> None:
    """Compare the logits of a transformers model with those of `classifier` for an image of noise.

    Raises:
        ModelError: they differ, because the model's forward scales or pools differently.
    """
    model = classifier.model
    size = getattr(getattr(getattr(model, "config", None), "vision_config", None), "image_size", None)
    if not isinstance(size, int) or not isinstance(tokens, Mapping):
        return
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 3, size, size, generator=generator, dtype=torch.float32, device="cpu").to(
        parameter.device, parameter.dtype
    )
    expected = getattr(model(pixel_values=noise, **tokens), "logits_per_image", None)
    if expected is None:
        return
    difference = float((classifier(noise) - expected).abs().max())
    if not difference <= _TOLERANCE * max(1.0, float(expected.abs().max())):
        raise ModelError(
            f"model {type(model).__name__} makes its logits of embeddings in another way than exp(logit_scale) · cos + "
            f"logit_bias (they differ by {difference:.2g}); give your own module that returns logits (b, texts)"
        )


def _image_encoder(model: nn.Module) -> Any:
    return _encoder(model, "encode_image", "get_image_features")


def _text_encoder(model: nn.Module) -> Any:
    return _encoder(model, "encode_text", "get_text_features")


def _encoder(model: nn.Module, *names: str) -> Any:
    for name in names:
        if callable(getattr(model, name, None)):
            return getattr(model, name)
    raise ModelError(
        f"model {type(model).__name__} has no {' or '.join(names)}; expected open_clip's or transformers' model of "
        "images and texts, or give your own module that returns logits (b, texts)"
    )


def _embeddings_in(output: Any) -> Tensor:
    """Return the embeddings (b, d) in an output: the tensor itself, or `pooler_output` in an output of transformers."""
    embeddings = output if isinstance(output, torch.Tensor) else getattr(output, "pooler_output", None)
    if isinstance(embeddings, torch.Tensor) and embeddings.dim() == 2:
        return embeddings
    raise ModelError(
        f"the model's encoder returns a {type(output).__name__}; expected embeddings (b, d), or an output with them "
        "under 'pooler_output': give your own module that returns logits (b, texts)"
    )
