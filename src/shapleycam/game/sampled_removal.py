"""Removal by samples: absent pixels are those of reference photographs; a coalition's value is the mean over these.

v(S) = mean over k of [U(model(x on S, and the k-th photograph elsewhere)) - U(model(k-th photograph))]. This is the
interventional expectation of SHAP (Lundberg & Lee 2017, arXiv:1705.07874; Janzing et al. 2020, arXiv:1910.13413), with
the reference photographs as the background.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game.contents import Contents
from shapleycam.game.head_runner import GeneralRunner, HeadRunner
from shapleycam.game.players import Players
from shapleycam.tracing import Trace


def sampling_runners(
    samples: Float[Tensor, "k *sample"], trace: Trace, activation: Float[Tensor, "b *image"], players: Players
) -> Sequence[HeadRunner]:
    """Return one runner for each sample, which evaluates coalitions with this sample in place of absent pixels.

    Raises:
        OptionError: the samples and the images have different sizes.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer, values
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
        >>> _ = torch.nn.init.ones_(model[1].weight)
        >>> image = torch.full((1, 1, 2, 2), 5.0)
        >>> reference = torch.tensor([1.0, 3.0])[:, None, None, None].expand(2, 1, 2, 2)
        >>> explainer = Explainer(model, layer="input", utility="logit", removal="samples", reference=reference)
        >>> values.exact(explainer.game(image, 0)).values  # each pixel less its mean over the reference
        tensor([[3., 3., 3., 3.]], dtype=torch.float64)
    """
    if samples.shape[1:] != activation.shape[1:]:
        raise OptionError(
            f"reference=: the reference photographs have shape {tuple(samples.shape[1:])}, the explained images "
            f"{tuple(activation.shape[1:])}; expected the same: prepare both in one size"
        )
    contents = [Contents(activation, sample.to(activation).expand_as(activation), players.layout) for sample in samples]
    first = GeneralRunner(trace, contents[0])
    return [first, *(first.with_contents(each) for each in contents[1:])]


def refuse_without_samples(*_: object) -> Sequence[HeadRunner]:
    """Refuse removal "samples" without reference photographs.

    Raises:
        OptionError: always.
    """
    raise OptionError("removal 'samples' takes reference photographs to stand in; give them as reference=")
