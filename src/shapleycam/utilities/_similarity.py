"""`similarity`: the question why an image is similar to another image or a text, measured by embeddings."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from shapleycam.errors import OptionError
from shapleycam.utilities.utility import Utility


def similarity(embedding: Any) -> Utility:
    """Return the utility cos(y, e): the cosine similarity of the model's output y (b, d) and an embedding e.

    To ask why two photographs are similar, use `explainer.output(other)` as the embedding. There is no class.

    Args:
        embedding: a float tensor (d,), or (b, d) with one embedding for each image.

    Raises:
        OptionError: it is not such a tensor; when the utility is used: its length is not that of the output.

    Examples:
        >>> import torch
        >>> from shapleycam.utilities import similarity
        >>> output, target = torch.tensor([[1.0, 1.0]]), torch.tensor([0])
        >>> similarity(torch.tensor([1.0, 0.0]))(output, target)
        tensor([0.7071])
    """
    if not isinstance(embedding, torch.Tensor) or embedding.dim() not in {1, 2} or not embedding.is_floating_point():
        shape = tuple(embedding.shape) if isinstance(embedding, torch.Tensor) else type(embedding).__name__
        raise OptionError(f"the embedding is {shape}; expected a float tensor (d,), or (b, d) for one an image")

    def function(output: Tensor, _: Tensor, embeddings: Tensor) -> Tensor:
        vectors = output.flatten(1)
        if vectors.shape[1] != embeddings.shape[1]:
            raise OptionError(
                f"the embedding has {embeddings.shape[1]} numbers, the model's output {vectors.shape[1]}; expected one "
                "that this model made (explainer.output(image))"
            )
        return cosine_similarity(vectors, embeddings.to(vectors.dtype), dim=1)

    return Utility(
        "similarity",
        function,
        "cos(y, e)",
        "how near the output is to an embedding",
        scores=lambda *_: None,
        reads="numbers",
        image_data=embedding.detach().reshape(-1, embedding.shape[-1]),
    )
