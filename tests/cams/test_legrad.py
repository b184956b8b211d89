"""LeGrad: from the definition with plain hooks, by finite differences, and from transformers' own attentions."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from cams.test_conditional_rows import convolutional, of_torchvision, of_transformers, pictures, swin, vit
from shapleycam import Explainer
from shapleycam.cams.legrad import block_maps, mean_of_gradients
from shapleycam.errors import OptionError
from shapleycam.tracing.attention_maps import AttentionMap

pytestmark = pytest.mark.filterwarnings("ignore")


def explained(model, images, layer, target=1, utility="logit"):
    """Values of the prefix and of the cells (b, n), in float64."""
    e = Explainer(model, layer=layer, utility=utility).explain(images, "legrad", target=target)
    return torch.cat([e.prefix[:, None], e.values.flatten(1)], 1).double()


def of_plain_attention(model):
    model = copy.deepcopy(model)
    for block in model.blocks:
        block.attn.fused_attn = False
    return model


def scores_of_blocks(model, images, change=None):
    """s_l of each block of a timm model by hand, and its attention; `change` is added to the attention of one block."""
    attentions, scores, handles = [], [], []
    for index, block in enumerate(model.blocks):

        def keep(_module, _inputs, output, index=index):
            attentions.append(output)
            return output + change[1] if change is not None and change[0] == index else None

        handles.append(block.attn.attn_drop.register_forward_hook(keep))
    tokens = model.norm_pre(model._pos_embed(model.patch_embed(images)))
    for block in model.blocks:
        tokens = block(tokens)
        scores.append(model.forward_head(model.norm(tokens))[:, 1])
    for handle in handles:
        handle.remove()
    return scores, attentions


@pytest.mark.parametrize("options", [{}, {"global_pool": "avg"}, {"reg_tokens": 2}], ids=str)
def test_by_its_definition(options):
    model, images = vit(**options), pictures()
    scores, attentions = scores_of_blocks(of_plain_attention(model), images)
    gradients = [torch.autograd.grad(s.sum(), a, retain_graph=True)[0] for s, a in zip(scores, attentions, strict=True)]
    expected = torch.stack([gradient.clamp(min=0).mean((1, 2)) for gradient in gradients]).mean(0)
    actual = explained(model, images, "blocks.1.norm1")
    prefix = actual.shape[1] - 16
    torch.testing.assert_close(actual[:, 1:], expected[:, -16:].double(), rtol=1e-3, atol=1e-7)
    assert prefix == 1
    whole = expected.double().sum(1)
    torch.testing.assert_close(actual.sum(1), whole, rtol=1e-3, atol=1e-6)
    assert float(expected.std()) > 1e-5  # there is something to be compared


def test_the_gradients_by_finite_differences():
    """Of each block's own score, when one number of its attention is changed."""
    model, images, step = vit().double(), pictures(1).double(), 1e-5
    game = Explainer(model, layer="blocks.1.norm1", utility="logit").game(images, target=1)
    plain = of_plain_attention(model)
    for block, each in enumerate(block_maps(game)):
        for place in ((0, 0, 0, 3), (0, 2, 5, 0), (0, 1, 16, 16)):
            change = torch.zeros_like(each.probabilities)
            change[place] = step
            above, below = (scores_of_blocks(plain, images, (block, sign * change))[0][block] for sign in (1, -1))
            expected = (above - below).detach().squeeze() / (2 * step)
            torch.testing.assert_close(each.gradient[place], expected, rtol=1e-5, atol=1e-10)


def test_by_pencil():
    """Two blocks, one head, two tokens: negative gradients count as zero, also in the mean."""
    first, second = torch.tensor([[[[1.0, -1], [3, 0]]]]), torch.tensor([[[[-2.0, 4], [0, 2]]]])
    maps = [AttentionMap(torch.zeros_like(each), each) for each in (first, second)]
    assert mean_of_gradients(maps).tolist() == [[((1 + 3) / 2 + 0) / 2, (0 + (4 + 2) / 2) / 2]]


def test_from_transformers_own_attentions_and_hidden_states():
    model, images = of_transformers(), pictures()
    eager = copy.deepcopy(model)
    eager.set_attn_implementation("eager")
    outputs = eager(images, output_attentions=True, output_hidden_states=True)
    maps = []
    for hidden, attention in zip(outputs.hidden_states[1:], outputs.attentions, strict=True):
        score = eager.classifier(eager.vit.layernorm(hidden)[:, 0])[:, 1].sum()
        (gradient,) = torch.autograd.grad(score, attention, retain_graph=True)
        maps.append(gradient.clamp(min=0).mean((1, 2)))
    actual = explained(model, images, "vit.layers.2.layernorm_before")
    torch.testing.assert_close(actual, torch.stack(maps).mean(0).double(), rtol=1e-3, atol=1e-7)


def test_torchvisions_fused_attention():
    model, images = of_torchvision(), pictures()
    actual = explained(model, images, "encoder.layers.encoder_layer_2.ln_1")
    game = Explainer(model, layer="encoder.layers.encoder_layer_2.ln_1", utility="logit").game(images, target=1)
    maps = block_maps(game)
    assert len(maps) == 3
    # What is explained of the last block is the utility itself: its gradient is that of the whole model.
    rows = maps[-1].gradient
    assert float(rows[:, :, 1:].abs().amax()) == 0  # the class token alone is read
    assert float(rows[:, :, 0].abs().amin(2).amin()) > 0
    torch.testing.assert_close(actual, mean_of_gradients(maps).double())


def test_the_choice_of_layer_does_not_matter_and_the_class_does():
    model, images = vit(), pictures()
    first = explained(model, images, "blocks.0.norm1")
    torch.testing.assert_close(first, explained(model, images, "blocks.2.norm1"))
    assert not torch.allclose(first, explained(model, images, "blocks.0.norm1", target=2))


class Attention(nn.Module):
    """One head; `is_turned` has keys before queries, and the softmax over them."""

    def __init__(self, *, is_turned):
        super().__init__()
        self.qkv, self.is_turned = nn.Linear(8, 24), is_turned

    def forward(self, x):
        q, k, v = self.qkv(x)[:, None].chunk(3, -1)
        attended = (k @ q.mT).softmax(2).mT @ v if self.is_turned else (q @ k.mT).softmax(3) @ v
        return x + attended[:, 0]


class OwnTransformer(nn.Module):
    def __init__(self, *, is_turned):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.fc = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 3)
        self.blocks = nn.Sequential(*[Attention(is_turned=is_turned) for _ in range(2)])

    def forward(self, x):
        return self.fc(self.blocks(self.stem(x).flatten(2).mT).relu().mean(1))


@pytest.mark.parametrize("method", ["legrad", "attentionrollout", "gradientrollout"])
def test_keys_before_queries_are_the_same_attention(method):
    models = [OwnTransformer(is_turned=is_turned).eval() for is_turned in (False, True)]
    plain, turned = (
        Explainer(model, layer="blocks.0", utility="logit").explain(pictures(), method, target=1).values
        for model in models
    )
    torch.testing.assert_close(turned, plain, rtol=1e-4, atol=1e-8)
    assert float(plain.std()) > 0


class WithAttentionBehind(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = vit(global_pool="avg")
        self.pool = nn.MultiheadAttention(24, 3, batch_first=True)

    def forward(self, x):
        tokens = self.body.forward_features(x)
        return self.body.head(self.pool(tokens[:, :1], tokens, tokens)[0][:, 0])


@pytest.mark.parametrize(
    ("make", "layer", "reason"),
    [
        (convolutional, "2", "no such series of blocks"),
        (swin, "norm", "no such series of blocks|attention has shape"),
        (vit, "patch_embed.proj", r"its attention has shape \(3, 3, 17, 17\)"),
        (lambda: vit(class_token=False, global_pool="map"), "blocks.1.norm1", "it has attention behind them"),
        (WithAttentionBehind, "body.blocks.1.norm1", "it has attention behind them"),
    ],
)
def test_refused_in_one_line(make, layer, reason):
    with pytest.raises(OptionError, match=f"method 'legrad' is of a series of blocks.*{reason}.*choose a layer of tok"):
        Explainer(make().eval(), layer=layer).explain(pictures(), "legrad")
