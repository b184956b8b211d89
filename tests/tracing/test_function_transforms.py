"""vmap, grad, jvp and functional_call in a user's forward: explained as the plain network, or refused by the layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers.user_models import Small, pictures, values
from shapleycam import Explainer
from shapleycam.errors import LayerError

METHODS = ["hirescam", "pathcam-h", "occlusion", "sampledshapley"]


class HeadInVmap(Small):
    def head(self, v):
        return torch.vmap(lambda row: super(HeadInVmap, self).head(row[None])[0])(v)


class StemInVmap(Small):
    def forward(self, x):
        return self.head(self.body(torch.vmap(lambda row: F.gelu(self.stem(row[None])[0]))(x)))


class HeadInJvp(Small):
    """The linear layer's value from a jvp at 0 along the features: W f, and the bias from its value at 0."""

    def head(self, v):
        features = F.softplus(v).mean((2, 3))
        value, change = torch.func.jvp(self.fc, (torch.zeros_like(features),), (features,))
        return value + change


class Functional(Small):
    """Each of its modules is called once, with parameters that are passed in."""

    def head(self, v):
        pooled = F.softplus(v).mean((2, 3))
        return torch.func.functional_call(self.fc, dict(self.fc.named_parameters()), (pooled,))


@pytest.mark.parametrize("kind", [HeadInVmap, StemInVmap, HeadInJvp, Functional])
@pytest.mark.parametrize("method", METHODS)
def test_transforms_beside_the_layer_change_nothing(kind, method):
    actual, expected = values(kind().eval(), method), values(Small().eval(), method)
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-4)


class AllInVmap(Small):
    def forward(self, x):
        return torch.vmap(lambda row: super(AllInVmap, self).forward(row[None])[0])(x)


class Ensemble(nn.Module):
    """Two members, as the ensembles of torch.func: the same modules with stacked parameters."""

    def __init__(self):
        super().__init__()
        self.member = Small()

    def forward(self, x):
        stacked = {name: torch.stack([weight, weight]) for name, weight in self.member.named_parameters()}

        def one(parameters):
            return torch.func.functional_call(self.member, parameters, (x,))

        return torch.vmap(one)(stacked).mean(0)


@pytest.mark.parametrize(("kind", "layer"), [(AllInVmap, "stem"), (AllInVmap, "body"), (Ensemble, "member.body")])
@pytest.mark.parametrize("method", METHODS)
def test_a_layer_inside_a_transform_is_refused_with_what_to_do(kind, layer, method):
    with pytest.raises(LayerError, match=rf"layer '{layer}' runs inside a function transform .*, or layer 'input'"):
        Explainer(kind().eval(), layer=layer).explain(pictures(), method, 1)


@pytest.mark.parametrize("kind", [AllInVmap, Ensemble])
@pytest.mark.parametrize("method", ["hirescam", "occlusion"])
def test_the_input_is_outside_of_every_transform(kind, method):
    actual, expected = (
        Explainer(make().eval(), layer="input").explain(pictures(), method, 1) for make in (kind, Small)
    )
    torch.testing.assert_close(actual.values, expected.values, rtol=1e-3, atol=1e-5)
