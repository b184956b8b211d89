"""Models with random weights have random weights, however a layer comes by its own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from shapleycam.metrics.stability import randomise_layers


def weight_norm(layer: nn.Module) -> nn.Module:
    with pytest.warns(FutureWarning, match="deprecated"):
        return torch.nn.utils.weight_norm(layer)


def pruned(layer: nn.Module) -> nn.Module:
    return prune.l1_unstructured(layer, "weight", 2)


@pytest.mark.parametrize(
    "reparametrise",
    [weight_norm, torch.nn.utils.spectral_norm, parametrizations.weight_norm, parametrizations.spectral_norm, pruned],
)
def test_weights_that_are_computed_from_others_are_randomised(reparametrise):
    torch.manual_seed(0)
    model = reparametrise(nn.Linear(6, 5)).eval()
    with torch.no_grad():
        model(torch.ones(1, 6))
    trained = {name: parameter.clone() for name, parameter in model.named_parameters()}
    [randomised] = randomise_layers(model, 1, seed=0)
    for name, parameter in randomised.named_parameters():
        assert not torch.equal(parameter, trained[name]), name
    x = torch.eye(6)
    slopes = [(network(x) - network(0 * x)).detach() for network in (model, randomised)]
    assert not torch.allclose(*slopes)


def test_what_a_layer_initialises_by_itself_is_not_shuffled():
    layer = nn.Linear(6, 5)
    with torch.no_grad():
        layer.weight.fill_(100)
    [randomised] = randomise_layers(layer, 1, seed=0)
    assert float(randomised.weight.detach().abs().max()) <= 6**-0.5
