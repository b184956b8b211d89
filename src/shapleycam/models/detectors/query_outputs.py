"""The outputs of transformers' detectors: boxes and class scores of their queries, as each architecture means them."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchvision.ops import box_convert

from shapleycam.errors import TargetError
from shapleycam.models.detectors.base import describe_output

EXCLUSIVE = {"DetrObjectDetectionOutput", "TableTransformerObjectDetectionOutput", "YolosObjectDetectionOutput"}
"""Outputs whose last class is "no object": the scores of a query are a softmax."""
INDEPENDENT = {
    "ConditionalDetrObjectDetectionOutput",
    "DabDetrObjectDetectionOutput",
    "DeformableDetrObjectDetectionOutput",
}
"""Outputs without such a class: each score is a sigmoid by itself."""
SELECTED = {"RTDetrObjectDetectionOutput", "RTDetrV2ObjectDetectionOutput", "DFineObjectDetectionOutput"}
"""As `INDEPENDENT`; and query q is what the encoder's places with the best scores were chosen for in this image."""


def read_queries(output: Any) -> tuple[Float[Tensor, "b q 4"], Float[Tensor, "b q classes"]]:
    """Return the corners of all queries' boxes, in fractions of the image, and their class scores in [0, 1].

    Raises:
        TargetError: the output is none of those that are known.
    """
    kind = type(output).__name__
    if kind not in EXCLUSIVE | INDEPENDENT | SELECTED:
        raise TargetError(
            f"the model returns {describe_output(output)}; expected what a detector of transformers returns, "
            f"{', '.join(sorted(EXCLUSIVE | INDEPENDENT | SELECTED))}, since its class says whether scores are a "
            "softmax with a class for no object or a sigmoid each: let the model return that object, or give a "
            "function of yours as utility"
        )
    logits = output.logits.float()
    scores = logits.softmax(-1)[..., :-1] if kind in EXCLUSIVE else logits.sigmoid()
    return box_convert(output.pred_boxes.float(), "cxcywh", "xyxy"), scores


def selects_queries(output: Any) -> bool:
    """Return whether the queries stand for places that the encoder chose in this image, and not for themselves."""
    return getattr(output, "enc_outputs_class", None) is not None or type(output).__name__ in SELECTED


def chosen_places(output: Any) -> Int[Tensor, "b q"]:
    """Return the encoder's place that each query of RT-DETR started from: the q with the best class score.

    Raises:
        TargetError: the output does not tell, or chooses in another way.
    """
    places, top = getattr(output, "enc_outputs_class", None), getattr(output, "enc_topk_logits", None)
    queries = output.logits.shape[1]
    if type(output).__name__ in SELECTED and places is not None and top is not None and top.shape[1] == queries:
        numbers = torch.topk(places.max(-1).values, queries, dim=1).indices
        chosen = places.gather(1, numbers[..., None].expand(-1, -1, places.shape[-1]))
        if torch.equal(chosen, top):
            return numbers
    raise TargetError(
        f"the model returns {type(output).__name__}, whose queries are chosen anew in every image, and it does not "
        "tell for which places; expected RT-DETR, RT-DETRv2 or D-FINE as transformers has them, or a detector whose "
        "queries stay the same (DETR, YOLOS, Conditional DETR, DAB-DETR, Deformable DETR of one stage)"
    )
