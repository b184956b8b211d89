"""The module of a plain vision transformer whose output has all tokens, with position embeddings, before the blocks."""

from __future__ import annotations

from torch import nn

_ENTRANCES = {
    "timm.models.vision_transformer.VisionTransformer": "patch_drop",
    "timm.models.deit.VisionTransformerDistilled": "patch_drop",
    "torchvision.models.vision_transformer.VisionTransformer": "encoder.dropout",
    "transformers.models.vit.modeling_vit.ViTModel": "embeddings.dropout",
    "transformers.models.deit.modeling_deit.DeiTModel": "embeddings.dropout",
}
"""The name of this module in each supported class; the blocks of these classes accept any number of tokens."""
PLAIN_TRANSFORMERS = "VisionTransformer of timm or torchvision, VisionTransformerDistilled, ViT or DeiT of transformers"
"""The supported classes, for messages."""


def token_entrance(model: nn.Module) -> str | None:
    """Return the dotted name of the module that returns the complete tokens, or None.

    It is None if the model is not a plain vision transformer, contains several, or is an instance of a subclass, which
    may treat its tokens differently.

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
