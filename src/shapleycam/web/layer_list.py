"""The layers of a model in the page's box, besides the rules; the most useful come first."""

from __future__ import annotations

from shapleycam.layers import Candidate, audit, find_before_pool, layers_to_list
from shapleycam.tracing.input_layer import INPUT
from shapleycam.tracing.suspension import in_full_precision
from shapleycam.web.resolved import ResolvedQuestion

_MOST = 200
"""Maximum number of layers in the list; visitors can type any other."""


@in_full_precision()
def list_layers(resolved: ResolvedQuestion) -> list[tuple[str, str]]:
    """Return a model's layers as names and texts: the default, then blocks from the last on, then layers inside them.

    The model is run once, on the question's photograph.

    Raises:
        ShapleyCamError: the model cannot be loaded or run, or none of its layers has places.
    """
    explainer, image = resolved.explainer, resolved.batch.images
    resolved.check()
    audited = audit(explainer.model, image, explainer.select)
    default = find_before_pool(audited, explainer.model, image).name
    every = layers_to_list(audited, explainer.model, default, every=True)
    blocks = layers_to_list(audited, explainer.model, default)
    return layer_texts(every, {candidate.name for candidate in blocks}, default)[:_MOST]


def layer_texts(every: list[Candidate], blocks: set[str], default: str) -> list[tuple[str, str]]:
    """Return the names and texts of layers in running order, the most useful first.

    Examples:
        >>> from shapleycam.layers import Candidate
        >>> from shapleycam.models.layout import Layout
        >>> from shapleycam.web.layer_list import layer_texts
        >>> layers = [Candidate(name, (4, 6, 6), Layout("NCHW", (6, 6)), 1.0, 36) for name in ("a.0", "a", "b")]
        >>> for name, text in layer_texts(layers, {"a", "b"}, "b"):
        ...     print(text)
        b: 6 x 6 places, before pooling
        a: 6 x 6 places
        a.0: 6 x 6 places, inside a block
    """

    def order(candidate: Candidate) -> tuple[bool, bool]:
        return candidate.name != default, candidate.name not in blocks

    def text(candidate: Candidate) -> str:
        places = " x ".join(map(str, candidate.layout.grid))
        if candidate.name == INPUT:
            return f"{candidate.name}: the image itself, {places} pixels"
        remark = ", before pooling" if candidate.name == default else ""
        inside = "" if candidate.name in blocks else ", inside a block"
        return f"{candidate.name}: {places} places{remark}{inside}"

    last_first = every[::-1]
    return [(candidate.name, text(candidate)) for candidate in sorted(last_first, key=order)]
