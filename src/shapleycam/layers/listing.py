"""Select the layers of a model that are listed for users."""

from __future__ import annotations

from torch import nn

from shapleycam.layers._audit import Audit, Candidate


def layers_to_list(audited: Audit, model: nn.Module, default: str, *, every: bool = False) -> list[Candidate]:
    """Return the layers to list, in running order: the image, blocks, the model's own children, and the default.

    Args:
        audited: the audit of the model.
        model: the model.
        default: the name of the layer that is explained by default.
        every: list the layers inside blocks too.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam.layers import audit, layers_to_list
        >>> _ = torch.manual_seed(0)
        >>> block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus())
        >>> model = nn.Sequential(block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        >>> audited = audit(model, torch.rand(1, 3, 8, 8))
        >>> [[c.name for c in layers_to_list(audited, model, "0", every=every)] for every in (False, True)]
        [['input', '0'], ['input', '0.0', '0']]
    """
    of_image = [] if audited.image is None else [audited.image]
    return of_image + [
        candidate
        for candidate in audited.candidates
        if candidate.name == default or (candidate.proven and (every or _is_block(candidate.name, model)))
    ]


def _is_block(name: str, model: nn.Module) -> bool:
    """Return whether a module has children with weights, or is itself a child of the model."""
    children = model.get_submodule(name).children()
    return "." not in name or any(any(True for _ in child.parameters()) for child in children)
