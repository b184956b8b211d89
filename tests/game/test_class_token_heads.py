"""Heads that read a few rows of an attention: sums over tokens give each coalition the model's own value."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.masked_games import (
    Tokens,
    by_hand,
    game_of,
    network,
    noise,
    random_coalitions,
    relative_difference,
    values_without_shortcut,
)
from helpers.networks import Toy
from helpers.toy_heads import Do
from shapleycam.game.head_runner import GeneralRunner
from shapleycam.game.shortcuts.class_token import ClassTokenRunner

WIDTH, HEADS = 8, 2


def heads_of(x):
    """(b, n, k) as (b, heads, n, k / heads)."""
    return x.unflatten(2, (HEADS, -1)).transpose(1, 2)


def merged(x):
    return x.transpose(1, 2).flatten(2)


def written_out(q, k, v, bias=0.0):
    return ((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + bias).softmax(-1) @ v


def sharp_linear(size_in, size_out, bias=True):
    """Attention of untrained weights is even; these make it sharp."""
    linear = nn.Linear(size_in, size_out, bias=bias)
    nn.init.normal_(linear.weight, std=0.8)
    return linear


class Block(nn.Module):
    """A transformer's block: attention and MLP with residuals; options change a part."""

    def __init__(
        self, attend=written_out, queries=lambda x: x, normed=False, scale=1.0, change=lambda q, k, v: (q, k, v)
    ):
        super().__init__()
        torch.manual_seed(0)
        self.attend, self.queries, self.change, self.scale = attend, queries, change, scale
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.q, self.k, self.v = (sharp_linear(WIDTH, WIDTH) for _ in range(3))
        self.q_norm = nn.LayerNorm(WIDTH // HEADS) if normed else nn.Identity()
        self.proj, self.gamma = nn.Linear(WIDTH, WIDTH), nn.Parameter(scale * torch.rand(WIDTH))
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 16), nn.GELU(), nn.Linear(16, WIDTH))

    def forward(self, x):
        y = self.norm1(x)
        q, k, v = heads_of(self.q(self.queries(y))), heads_of(self.k(y)), heads_of(self.v(y))
        q, k, v = self.change(self.q_norm(q), self.q_norm(k), v)
        attended = self.proj(merged(self.attend(q, k, v)))
        x = self.queries(x) + self.gamma * attended
        return x + self.mlp(self.norm2(x))


def rotate(q, k, v):
    """Rotary positions for all but the first token, as EVA has them."""
    angles = torch.arange(q.shape[-2] - 1, dtype=q.dtype)[:, None] * torch.tensor([1.0, 0.3], dtype=q.dtype)
    cosine, sine = angles.cos().repeat_interleave(2, 1), angles.sin().repeat_interleave(2, 1)

    def turn(x):
        places = x[:, :, 1:]
        turned = torch.stack([-places[..., 1::2], places[..., ::2]], -1).reshape(places.shape)
        return torch.cat([x[:, :, :1], places * cosine + turned * sine], 2)

    return turn(q), turn(k), v


def packed(self, x):
    """Queries, keys and values by one product, the fused attention, as timm writes it."""
    qkv = self.qkv(x).reshape(len(x), x.shape[1], 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    return x + self.proj(merged(F.scaled_dot_product_attention(*qkv.unbind(0))))


def class_attention(self, x):
    """The class token alone attends, the patches stay as they are: as XCiT has it."""
    y = self.norm(x)
    q, k, v = heads_of(self.q(y[:, :1])), heads_of(self.k(y)), heads_of(self.v(y))
    row = self.proj(merged(F.scaled_dot_product_attention(q, k, v)))
    x = x + torch.cat([row, y[:, 1:]], 1)
    return torch.cat([x[:, :1] + self.norm(x[:, 0:1]).tanh(), x[:, 1:]], 1)


def latent(self, x):
    """A learned query reads all tokens: SigLIP's pooling."""
    q = heads_of(self.q(self.query.expand(len(x), -1, -1)))
    return self.proj(merged(F.scaled_dot_product_attention(q, heads_of(self.k(x)), heads_of(self.v(x)))))


def parts(**more):
    torch.manual_seed(0)
    linears = {name: sharp_linear(WIDTH, WIDTH) for name in ("q", "k", "v", "proj")}
    return {**linears, "qkv": sharp_linear(WIDTH, 3 * WIDTH), "norm": nn.LayerNorm(WIDTH), **more}


def biased(q, k, v):
    """A bias of each pair of positions, as relative positions have it."""
    return written_out(q, k, v, noise(HEADS, q.shape[-2], k.shape[-2], dtype=q.dtype))


def multihead(**options):
    torch.manual_seed(0)
    return nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, **options)


def added_in_place(self, x):
    x = x.clone()
    x += self.block(x) - x
    return x.mul_(2)


FIRST, FIRST_TWO = (lambda x: x[:, 0]), (lambda x: (x[:, 0] + x[:, 1]) / 2)
ATTENTIONS = {
    "written out": (Block, 1, FIRST),
    "fused": (lambda: Block(F.scaled_dot_product_attention), 1, FIRST),
    "packed": (lambda: Do(packed, **parts()), 1, FIRST),
    "the norm of queries and keys": (lambda: Block(normed=True), 1, FIRST),
    "a small layer scale": (lambda: Block(scale=1e-3), 1, FIRST),
    "a bias of positions": (lambda: Block(biased), 1, FIRST),
    "rotary positions": (lambda: Block(change=rotate), 1, FIRST),
    "a distillation token": (Block, 2, FIRST_TWO),
    "registers that are not read": (Block, 4, FIRST),
    "the mean of class and registers": (Block, 3, lambda x: x[:, :3].mean(1)),
    "class and distillation side by side": (Block, 2, lambda x: x[:, :2].flatten(1)[:, ::2]),
    "normed afterwards": (lambda: nn.Sequential(Block(), nn.LayerNorm(WIDTH)), 1, FIRST),
    "queries of the class token alone": (lambda: Block(queries=lambda x: x[:, :1]), 1, lambda x: x[:, 0]),
    "class attention": (lambda: Do(class_attention, **parts()), 1, FIRST),
    "a learned query": (lambda: Do(latent, **parts(query=noise(1, 1, WIDTH))), 0, FIRST),
    "several learned queries": (lambda: Do(latent, **parts(query=noise(1, 3, WIDTH))), 0, lambda x: x.amax(1)),
    "a learned query and a class token": (lambda: Do(latent, **parts(query=noise(1, 1, WIDTH))), 1, FIRST),
    "PyTorch's module": (
        lambda: Do(lambda self, x: x + self.a(x, x, x, need_weights=False)[0], a=multihead()),
        1,
        FIRST,
    ),
    "PyTorch's module with weights": (lambda: Do(lambda self, x: x + self.a(x, x, x)[0], a=multihead()), 1, FIRST),
    "a key without a token": (
        lambda: Do(lambda self, x: self.a(x, x, x)[0], a=multihead(add_bias_kv=True)),
        1,
        FIRST,
    ),
    "written in place": (lambda: Do(added_in_place, block=Block()), 1, FIRST),
    "the class token besides": (lambda: Do(lambda self, x: self.b(x) * x[:, :1].sigmoid(), b=Block()), 1, FIRST),
    "constant tokens appended": (
        lambda: Do(
            lambda self, x: self.n(torch.cat([self.b(x)[:, :1], x * 0 + 1], 1)), b=Block(), n=nn.LayerNorm(WIDTH)
        ),
        1,
        FIRST,
    ),
}


def tail():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(WIDTH, 6), nn.Tanh(), nn.Linear(6, 3))


def model_of(attention, prefix, read):
    return Tokens(nn.Sequential(attention, Do(read), tail()), prefix=prefix).double()


def images_of(count=2):
    return noise(count, WIDTH, 2, 2, dtype=torch.float64)


def all_coalitions(players):
    return torch.tensor(list(product([False, True], repeat=players)))


@pytest.mark.parametrize("name", ATTENTIONS)
def test_every_coalition_has_the_models_own_value(name):
    make, prefix, read = ATTENTIONS[name]
    game = game_of(model_of(make(), prefix, read), images_of(), "rest", 0, layout=f"tokens 2x2 after {prefix}")
    coalitions = all_coalitions(game.n_players)
    assert game.structure.query_rows
    values = game.value(coalitions)
    assert isinstance(game._coalitions.runner, ClassTokenRunner)
    expected = by_hand(game, coalitions)
    assert relative_difference(values, expected, game) < 1e-12
    assert expected.std(1).min() > 1e-4


def test_a_constant_residual_and_two_states_of_the_query():
    """The layer is the norm before the attention, as by default in a ViT: what it is added to stays."""

    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.norm = Tokens(nn.Identity(), prefix=1), nn.LayerNorm(WIDTH)
            self.attention, self.fc = Do(packed, **parts()), nn.Linear(WIDTH, 3)

        def forward(self, x):
            x = self.tokens(x)
            return self.fc((x + self.attention(self.norm(x)))[:, 0])

    game = game_of(Normed().double(), images_of(), "rest", 0, layer="norm", layout="tokens 2x2 after 1")
    coalitions = all_coalitions(5)
    assert game.structure.query_rows == 1
    assert relative_difference(game.value(coalitions), by_hand(game, coalitions), game) < 1e-12


def clip_pooling(self, x):
    """The query is the mean of all positions, as in CLIP's ResNets."""
    x = torch.cat([x.mean(1, keepdim=True), x], 1)
    return x + self.block(x)


def talking_heads(self, x):
    q, k, v = (heads_of(linear(x)) for linear in (self.q, self.k, self.v))
    weights = (q @ k.mT).softmax(-1)
    return merged((weights + weights.flip(1)) @ v)


def over_queries(self, x):
    q, k, v = (heads_of(linear(x)) for linear in (self.q, self.k, self.v))
    return merged((q @ k.mT).softmax(-2) @ v)


def other_values(self, x):
    q, k, v = (heads_of(linear(x)) for linear in (self.q, self.k, self.v))
    return merged(written_out(q, k, torch.cat([v[:, :, 1:], v[:, :, :1]], 2)))


def gated(self, x):
    return self.block(x * x.mean(1, keepdim=True).sigmoid())


def first_column(self, x):
    return self.block(torch.cat([x[:, :1], x[:, 1:].unflatten(1, (2, 2))[:, :, 0]], 1))


def pairs(x):
    means = x.mean(2)
    return means[:, :, None] + means[:, None, :]


@torch.library.custom_op("shapleycam_tests::clone", mutates_args=())
def other_clone(x: torch.Tensor) -> torch.Tensor:
    """It has the name of PyTorch's own, and does something else: each token gets half of the next one's content."""
    return x + x.roll(1, 1) / 2


@other_clone.register_fake
def _(x):
    return torch.empty_like(x)


other_clone.register_autograd(lambda _, gradient: gradient + gradient.roll(-1, 1) / 2)


def written_to_its_rows(self, x):
    x = x.clone()
    y = self.block(x)
    x[:, 0] = x[:, 1]
    return y + x


def written_to_a_buffer(self, x):
    rows = torch.zeros_like(x)
    rows[:, 0] = self.block(x)[:, 0] + x[:, 2]
    return rows


REFUSED = {
    "the mean of all tokens": (Block, lambda x: x.mean(1)),
    "patches besides, as DINOv2's classifier": (Block, lambda x: x[:, 0] + x[:, 1:].mean(1)),
    "a patch besides": (Block, lambda x: x[:, 0] + x[:, 2]),
    "a patch": (Block, lambda x: x[:, 3]),
    "the maximum of patches": (Block, lambda x: x[:, 1:].amax(1)),
    "the mean as a query": (lambda: Do(clip_pooling, block=Block()), FIRST),
    "two blocks": (lambda: nn.Sequential(Block(), Block()), FIRST),
    "talking heads": (lambda: Do(talking_heads, **parts()), FIRST),
    "a softmax over the queries": (lambda: Do(over_queries, **parts()), FIRST),
    "values of other tokens": (lambda: Do(other_values, **parts()), FIRST),
    "a gate of all tokens before": (lambda: Do(gated, block=Block()), FIRST),
    "a gate of all tokens after": (lambda: Do(lambda self, x: self.b(x) * x.amax(1, keepdim=True), b=Block()), FIRST),
    "a sleeping patch": (Block, lambda x: x[:, 0] + F.relu(x[:, 4] - 100)),
    "patches in another order": (lambda: Do(lambda self, x: self.b(x) + x.roll(1, 1), b=Block()), FIRST),
    "a patch written over the class token": (lambda: Do(written_to_its_rows, block=Block()), FIRST),
    "written to a buffer": (lambda: Do(written_to_a_buffer, block=Block()), FIRST),
    "a norm over all tokens": (lambda: Do(lambda self, x: self.b(F.layer_norm(x, x.shape[1:])), b=Block()), FIRST),
    "a decision": (lambda: Do(lambda self, x: self.b(x) * (2 if x.sum() > 1e6 else 1), b=Block()), FIRST),
    "a maximum without gradients": (lambda: Do(lambda self, x: self.b(x) + x.detach().amax(1, True), b=Block()), FIRST),
    "an empty tensor joined": (
        lambda: Do(lambda self, x: self.b(torch.cat([x, x.new_zeros(0)], 1)), b=Block()),
        FIRST,
    ),
    "a column of the grid": (lambda: Do(first_column, block=Block()), FIRST),
    "a table of pairs": (
        lambda: Do(lambda self, x: self.b(x) + pairs(x).amax((1, 2))[:, None, None], b=Block()),
        FIRST,
    ),
    "another library's operator": (lambda: Do(lambda self, x: self.b(other_clone(x)), b=Block()), FIRST),
    "gated sums without a softmax": (
        lambda: Do(
            lambda self, x: merged(heads_of(self.q(x)) @ heads_of(self.k(x)).mT @ heads_of(self.v(x))), **parts()
        ),
        FIRST,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_reads_more_is_played_as_it_is(name):
    make, read = REFUSED[name]
    game = game_of(model_of(make(), 1, read), images_of(), "rest", 0, layout="tokens 2x2 after 1")
    assert game.structure.query_rows == 0
    assert isinstance(game._coalitions.runner, GeneralRunner)
    coalitions = all_coalitions(5)
    assert relative_difference(game.value(coalitions), by_hand(game, coalitions), game) < 1e-12


@pytest.mark.parametrize(("sharpness", "is_table"), [(3.0, True), (60.0, True), (3000.0, False)])
def test_sharp_attention_is_right_or_played_as_it_is(sharpness, is_table):
    """Single precision has no room for exponentials of ±88: double has, up to ±700."""
    torch.manual_seed(1)
    block = Block(lambda q, k, v: written_out(q * sharpness, k, v))
    model = Tokens(nn.Sequential(block, Do(FIRST), tail()), prefix=1)
    game = game_of(model, images_of().float(), "rest", 0, layout="tokens 2x2 after 1")
    coalitions = all_coalitions(5)
    assert bool(game.structure.query_rows) == is_table
    values = game.value(coalitions)
    assert torch.isfinite(values).all()
    assert relative_difference(values, by_hand(game, coalitions), game) < 1e-4


def test_regions_of_cells_take_it_too():
    game = game_of(
        model_of(Block(), 1, FIRST), images_of(3), "logit", [0, 1, 2], players=(1, 2), layout="tokens 2x2 after 1"
    )
    coalitions = all_coalitions(3)
    values = game.value(coalitions)
    assert isinstance(game._coalitions.runner, ClassTokenRunner)
    assert relative_difference(values, values_without_shortcut(game, coalitions), game) < 1e-12


def test_a_map_that_is_pooled_by_a_learned_query():
    """Channels first: the cells become tokens on the way."""
    pool = Do(lambda self, a: latent(self, a.flatten(2).transpose(1, 2))[:, 0], **parts(query=noise(1, 1, WIDTH)))
    game = game_of(
        Toy(nn.Sequential(nn.GELU(), pool, tail())).double(), noise(2, WIDTH, 2, 3, dtype=torch.float64), "rest"
    )
    coalitions = all_coalitions(6)
    assert game.structure.query_rows == 1
    assert relative_difference(game.value(coalitions), by_hand(game, coalitions), game) < 1e-12


def test_memory_bounds_the_coalitions_at_once():
    game = game_of(model_of(Block(), 1, FIRST), images_of(), "rest", 0, layout="tokens 2x2 after 1")
    assert game._coalitions.runner.bytes_per_coalition >= 4 * 8 * WIDTH


REAL = {
    ("timm:deit_tiny_distilled_patch16_224", "blocks.11.norm1"): 2,
    ("timm:xcit_nano_12_p16_224", "cls_attn_blocks.1.norm1"): 1,
}
"""One row and two; coalitions of more networks: test_shortcuts_on_real_networks.py."""


@pytest.mark.parametrize("key", REAL, ids=str)
def test_real_heads(key):
    name, layer = key
    game = game_of(network(name, 96), noise(2, 3, 96, 96), "rest", [3, 5], layer)
    coalitions = random_coalitions(2, 200, game.n_players)
    assert game.structure.query_rows == REAL[key]
    values = game.value(coalitions)
    expected = values_without_shortcut(game, coalitions)
    assert relative_difference(values, expected, game) < 1e-5
    assert (values - expected).abs().max() < 1e-2 * expected.std(1).max()
