"""Where the tokens of a plain vision transformer are complete: patches and prefix tokens with their positions added."""

from __future__ import annotations

from torch import nn

_ENTRANCES = {
    "timm.models.vision_transformer.VisionTransformer": "patch_drop",
    "timm.models.deit.VisionTransformerDistilled": "patch_drop",
    "torchvision.models.vision_transformer.VisionTransformer": "encoder.dropout",
    "transformers.models.vit.modeling_vit.ViTModel": "embeddings.dropout",
    "transformers.models.deit.modeling_deit.DeiTModel": "embeddings.dropout",
}
"""The module that returns these tokens, in each class whose blocks then take any number of them."""
PLAIN_TRANSFORMERS = "VisionTransformer of timm or torchvision, VisionTransformerDistilled, ViT or DeiT of transformers"
"""The classes in words."""


def token_entrance(model: nn.Module) -> str | None:
    """Return the dotted name of the module that returns the complete tokens.

    None of a model that is no plain vision transformer, holds several, or was made by a derived class, which may do
    anything with its tokens.

    Examples:
        >>> import torch, torchvision
        >>> from shapleycam.models.token_entrance import token_entrance
        >>> vit = torchvision.models.VisionTransformer(32, 8, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=8)
        >>> token_entrance(torch.nn.Sequential(vit)), token_entrance(torch.nn.Conv2d(3, 4, 3))
        ('0.encoder.dropout', None)
    """
    entrances = {
        name: _ENTRANCES[kind] for name, module in model.named_modules() if (kind := _kind_of(module)) in _ENTRANCES
    }
    if len(entrances) != 1:
        return None
    [(name, entrance)] = entrances.items()
    layer = f"{name}.{entrance}" if name else entrance
    return layer if layer in dict(model.named_modules()) else None


def _kind_of(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"
