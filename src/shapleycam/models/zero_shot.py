"""Models that compare images with texts (CLIP, SigLIP), as classifiers whose classes are the texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from shapleycam.errors import ModelError, OptionError
from shapleycam.models.network import Network
from shapleycam.models.transforms import as_transform


class ImageText(nn.Module):
    """Logits (b, texts) = scale · cos(image embedding, text embedding) + bias, as these models were trained to give."""

    def __init__(self, model: nn.Module, texts: Float[Tensor, "texts d"]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("texts", normalize(texts.detach(), dim=1))

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b texts"]:
        """The logits of each image."""
        embeddings = normalize(_embedding(_image_encoder(self.model)(images)), dim=1)
        scale, bias = getattr(self.model, "logit_scale", None), getattr(self.model, "logit_bias", None)
        logits = embeddings @ self.get_buffer("texts").T.to(embeddings.dtype)
        logits = logits if scale is None else logits * scale.exp()
        return logits if bias is None else logits + bias


def zero_shot(model: nn.Module, texts: Sequence[str], tokenizer: Any, preprocess: Any = None) -> Network:
    """A network whose classes are texts, from open_clip's model of images and texts, or transformers' CLIP and SigLIP.

    `tokenizer` is the model's own (open_clip.get_tokenizer, AutoTokenizer, or a processor that holds one);
    `preprocess` the transform or image processor for photographs, a processor's own if None. Explain it like any other:
    Explainer(zero_shot(model, ["a cat", "a dog"], tokenizer, preprocess)).explain(photo, target="a cat"). For a single
    text take the utility "value".

    Raises:
        ModelError: the model has no encoders that are known here; OptionError: no texts.
    """
    if isinstance(texts, str) or not texts or not all(isinstance(text, str) for text in texts):
        raise OptionError(f"texts={texts!r}; expected a list of texts")
    encode = _text_encoder(model)
    _image_encoder(model)
    place = next(model.parameters())
    with torch.no_grad():
        tokens = _tokens(getattr(tokenizer, "tokenizer", tokenizer), list(texts), place.device)
        embeddings = _embedding(encode(**tokens) if isinstance(tokens, Mapping) else encode(tokens))
    transform = preprocess if preprocess is not None else getattr(tokenizer, "image_processor", None)
    wrapped = ImageText(model, embeddings.to(place.dtype)).eval()
    return Network(wrapped, None if transform is None else as_transform(transform), tuple(texts), type(model).__name__)


def _tokens(tokenizer: Any, texts: list[str], device: torch.device) -> Any:
    """What a tokenizer makes of texts: a tensor (texts, length), or a mapping of them."""
    if hasattr(tokenizer, "pad"):  # of transformers
        return {key: value.to(device) for key, value in tokenizer(texts, padding=True, return_tensors="pt").items()}
    tokens: Tensor = tokenizer(texts)
    return tokens.to(device)


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


def _embedding(output: Any) -> Tensor:
    """The embeddings (b, d): the tensor itself, or the pooled one of what transformers returns."""
    found = output if isinstance(output, torch.Tensor) else getattr(output, "pooler_output", None)
    if isinstance(found, torch.Tensor) and found.dim() == 2:
        return found
    raise ModelError(
        f"the model's encoder returns a {type(output).__name__}; expected embeddings (b, d), or an output with them "
        "under 'pooler_output': give your own module that returns logits (b, texts)"
    )
