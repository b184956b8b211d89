"""Removal by leaving tokens out: held against attention that is kept from them, written out a second time."""

from __future__ import annotations

import inspect
from threading import Thread

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn.functional import linear

from shapleycam import Explainer, values
from shapleycam.errors import OptionError
from shapleycam.game.dropping.runner import DroppingRunner

transformers = pytest.importorskip("transformers")
SIZE, PATCH, HEADS = 32, 16, 2


def shaken(model):
    """A model whose attentions are far from even, so that it matters which tokens are there."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def of_timm(**options):
    options = {"img_size": SIZE, "embed_dim": 16, "num_heads": HEADS, "depth": 2, "num_classes": 5, **options}
    return shaken(timm.models.vision_transformer.VisionTransformer(patch_size=PATCH, **options))


def of_torchvision():
    return shaken(torchvision.models.VisionTransformer(SIZE, PATCH, 2, HEADS, 16, 32, num_classes=5))


def of_transformers(kind="ViT", head="ForImageClassification"):
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=32,
        image_size=SIZE, patch_size=PATCH, num_labels=5,
    )  # fmt: skip
    return shaken(getattr(transformers, f"{kind}{head}")(config))


def distilled():
    return shaken(
        timm.models.deit.VisionTransformerDistilled(
            img_size=SIZE, patch_size=PATCH, embed_dim=16, num_heads=HEADS, depth=2, num_classes=5
        )
    )


MODELS = {
    "timm": of_timm,
    "timm with registers": lambda: of_timm(reg_tokens=3),
    "timm with positions of patches alone": lambda: of_timm(no_embed_class=True),
    "timm with other image sizes": lambda: of_timm(dynamic_img_size=True),
    "timm distilled": distilled,
    "torchvision": of_torchvision,
    "transformers ViT": of_transformers,
    "transformers DeiT": lambda: of_transformers("DeiT", "ForImageClassificationWithTeacher"),
    "inside another module": lambda: nn.Sequential(of_timm(), nn.Tanh()).eval(),
}


def pictures(count=2):
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


def explainer_of(model, **options):
    return Explainer(model, "input", "logit", removal="drop", device="cpu", **options)


def all_coalitions(n=4):
    return torch.tensor([[bool(number >> player & 1) for player in range(n)] for number in range(2**n)])


def attend(tokens, qkv_weight, qkv_bias, present):
    """Self-attention from its definition, with -infinity before the softmax where tokens are absent."""
    q, k, v = (
        part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in linear(tokens, qkv_weight, qkv_bias).chunk(3, 2)
    )
    scores = q @ k.transpose(2, 3) / q.shape[3] ** 0.5
    weights = scores.masked_fill(~present, -torch.inf).softmax(3)
    return (weights @ v).transpose(1, 2).flatten(2)


def timm_by_hand(model, image, present):
    tokens = model._pos_embed(model.patch_embed(image))
    present = torch.cat([torch.ones(tokens.shape[1] - len(present), dtype=torch.bool), present])
    for block in model.blocks:
        mixed = attend(block.norm1(tokens), block.attn.qkv.weight, block.attn.qkv.bias, present)
        tokens = tokens + block.attn.proj(mixed)
        tokens = tokens + block.mlp(block.norm2(tokens))
    return model.head(model.norm(tokens)[:, 0])


def torchvision_by_hand(model, image, present):
    patches = model.conv_proj(image).flatten(2).transpose(1, 2)
    tokens = torch.cat([model.class_token, patches], 1) + model.encoder.pos_embedding
    present = torch.cat([torch.ones(1, dtype=torch.bool), present])
    for block in model.encoder.layers:
        attention = block.self_attention
        mixed = attend(block.ln_1(tokens), attention.in_proj_weight, attention.in_proj_bias, present)
        tokens = tokens + attention.out_proj(mixed)
        tokens = tokens + block.mlp(block.ln_2(tokens))
    return model.heads(model.encoder.ln(tokens)[:, 0])


def transformers_by_mask(model, image, present):
    """The library's own mask of attention."""
    mask = torch.cat([torch.ones(1, dtype=torch.bool), present])
    return model(image, attention_mask=mask[None].long()).logits


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("timm", timm_by_hand),
        ("timm with registers", timm_by_hand),
        ("torchvision", torchvision_by_hand),
        pytest.param(
            "transformers ViT",
            transformers_by_mask,
            marks=pytest.mark.skipif(
                "attention_mask" not in inspect.signature(transformers.ViTModel.forward).parameters,
                reason="this version of transformers has no mask of its own",
            ),
        ),
    ],
)
def test_every_coalition_is_attention_kept_from_absent_tokens(name, by_hand):
    model, images = MODELS[name](), pictures()
    game = explainer_of(model).game(images, 1, players="patches")
    worth = game.value(all_coalitions()) + game.empty[:, None]
    with torch.no_grad():
        expected = torch.stack(
            [torch.cat([by_hand(model, image[None], each)[:, 1] for each in all_coalitions()]) for image in images]
        )
    torch.testing.assert_close(worth, expected, rtol=1e-4, atol=1e-5)
    assert float(expected.std(1).min()) > 0.01


@pytest.mark.parametrize("name", MODELS)
class TestEveryModel:
    def test_with_all_tokens_the_value_is_the_models_own(self, name):
        model, images = MODELS[name](), pictures()
        game = explainer_of(model).game(images, 1, players="patches")
        with torch.no_grad():
            output = model(images)
        logits = getattr(output, "logits", output)[:, 1]
        everybody = game.value(torch.ones(1, 4, dtype=torch.bool))[:, 0] + game.empty
        torch.testing.assert_close(everybody, logits, rtol=1e-5, atol=1e-6)

    def test_absent_patches_are_never_seen(self, name):
        model, images = MODELS[name](), pictures(1)
        explainer = explainer_of(model)
        others = images.clone()
        others[:, :, :PATCH, :PATCH] = 7.0  # the first patch
        without_it = torch.tensor([[False, True, False, True], [False, True, True, True], [False] * 4])
        worth, of_others = (
            game.value(without_it) + game.empty
            for game in (explainer.game(each, 1, players="patches") for each in (images, others))
        )
        torch.testing.assert_close(worth, of_others)

    def test_the_order_of_tokens_does_not_matter(self, name, monkeypatch):
        model, coalitions = MODELS[name](), all_coalitions()
        explainer = explainer_of(model)
        expected = explainer.game(pictures(), 1, players="patches").value(coalitions)
        original = DroppingRunner._of_equal_count

        def reversed_tokens(runner, present, samples, count):
            tokens, prefix = runner._tokens, runner._prefix
            order = torch.cat([torch.arange(prefix), torch.arange(tokens.shape[1] - 1, prefix - 1, -1)])
            monkeypatch.setattr(runner, "_tokens", tokens[:, order])
            try:
                return original(runner, present.flip(1), samples, count)
            finally:
                monkeypatch.setattr(runner, "_tokens", tokens)

        monkeypatch.setattr(DroppingRunner, "_of_equal_count", reversed_tokens)
        torch.testing.assert_close(
            explainer.game(pictures(), 1, players="patches").value(coalitions), expected, rtol=1e-4, atol=1e-5
        )


class TestCoalitions:
    def test_any_batch_gives_the_same(self):
        model, images = of_timm(), pictures(3)
        together = explainer_of(model).game(images, 1, players="patches").value(all_coalitions())
        small = Explainer(model, "input", "logit", removal="drop", device="cpu", memory=1)
        for image in range(3):
            alone = small.game(images[image : image + 1], 1, players="patches").value(all_coalitions())
            torch.testing.assert_close(together[image], alone[0], rtol=1e-4, atol=1e-6)

    def test_other_coalitions_for_each_image(self):
        game = explainer_of(of_timm()).game(pictures(), 1, players="patches")
        drawn = torch.rand(2, 7, 4, generator=torch.Generator().manual_seed(1)) < 0.5
        expected = torch.stack([game.value(drawn[image], [image])[0] for image in range(2)])
        torch.testing.assert_close(game.value(drawn), expected, rtol=1e-4, atol=1e-6)

    def test_tokens_run_in_equal_numbers(self, monkeypatch):
        counts = []
        original = DroppingRunner._of_equal_count
        monkeypatch.setattr(
            DroppingRunner,
            "_of_equal_count",
            lambda runner, present, samples, count: (
                counts.append((count, len(present))) or original(runner, present, samples, count)
            ),
        )
        game = explainer_of(of_timm()).game(pictures(1), 1, players="patches")
        _ = game.empty  # with the proof
        counts.clear()
        game.value(all_coalitions())
        assert counts == [(0, 1), (1, 4), (2, 6), (3, 4), (4, 1)]

    def test_regions_of_whole_patches(self):
        model = of_timm(img_size=64)
        images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
        explainer = explainer_of(model)
        by_patches = explainer.game(images, 1, players="patches")
        grid = explainer.game(images, 1, players=(2, 2))
        quarter = torch.tensor([True, True, False, False] * 2 + [False] * 8)
        torch.testing.assert_close(
            grid.value(torch.tensor([[True, False, False, False]])), by_patches.value(quarter[None])
        )
        labels = torch.arange(64)[:, None] // 16 % 2 + torch.zeros(64, dtype=torch.long)
        stripes = torch.tensor([True] * 4 + [False] * 4 + [True] * 4 + [False] * 4)
        torch.testing.assert_close(
            explainer.game(images, 1, players=labels).value(torch.tensor([[True, False]])),
            by_patches.value(stripes[None]),
        )

    def test_sampled_values_sum_and_agree(self):
        game = explainer_of(of_timm()).game(pictures(), 1, players="patches")
        exact = values.exact(game).values
        torch.testing.assert_close(exact.sum(1), game.grand.double(), rtol=1e-4, atol=1e-6)
        sampled = values.permutation(game, orders=64)
        assert float(((sampled.values - exact).abs() / sampled.stderr.clamp(min=1e-7)).max()) < 5

    def test_explained(self):
        explanation = explainer_of(of_timm()).explain(pictures(1), "exactshapley", 1, players="patches")
        assert (explanation.removal, explanation.values.shape) == ("drop", (1, SIZE, SIZE))
        with torch.no_grad():
            nothing = of_timm()
            class_token = nothing._pos_embed(nothing.patch_embed(pictures(1)))[:, :1]
            expected = nothing.head(nothing.norm(nothing.blocks(class_token))[:, 0])[:, 1]
        torch.testing.assert_close(explanation.utility_removed, expected, rtol=1e-4, atol=1e-6)


def test_the_users_model_runs_as_ever_meanwhile():
    model, images = of_timm(), pictures(1)
    with torch.no_grad():
        expected = model(images)
    outputs, stop = [], []

    def serve():
        with torch.no_grad():
            while not stop:
                outputs.append(model(images))

    thread = Thread(target=serve)
    before = {module: dict(vars(module)) for module in model.modules()}
    thread.start()
    try:
        explainer_of(model).explain(images, "exactshapley", 1, players="patches")
    finally:
        stop.append(True)
        thread.join()
    assert all(torch.allclose(output, expected) for output in outputs)
    assert {module: dict(vars(module)) for module in model.modules()} == before


class Mirrored(nn.Module):
    def __init__(self):
        super().__init__()
        self.vit = of_timm()

    def forward(self, images):
        return self.vit(images.flip(3))


class Mixing(timm.models.vision_transformer.VisionTransformer):
    """A derived class may do anything."""


def mixed():
    """Tokens mix outside attention: each block's first norm shifts them along."""
    model = of_timm()

    class Shift(nn.Module):
        def forward(self, tokens):
            return tokens.roll(1, 1)

    model.blocks[1].norm1 = Shift()
    return model


def overlapping():
    model = of_timm()
    model.patch_embed.proj = shaken(nn.Conv2d(3, 16, 18, stride=16, padding=1))
    return model


REFUSED = {
    "a convolutional network": (lambda: timm.create_model("resnet18"), r"\(ResNet\) is not one plain vision trans"),
    "windows": (
        lambda: timm.create_model("swin_tiny_patch4_window7_224", img_size=SIZE, window_size=2, depths=(1, 1)),
        r"\(SwinTransformer\) is not one plain vision transformer \(VisionTransformer of timm",
    ),
    "a derived class": (
        lambda: Mixing(img_size=SIZE, embed_dim=16, num_heads=2, depth=1, num_classes=5).eval(),
        r"\(Mixing\) is not one plain vision transformer",
    ),
    "a mean over patches": (
        lambda: of_timm(global_pool="avg"),
        "no output where all patches are left out, as one that averages their tokens has none",
    ),
    "a mean over all tokens": (
        lambda: of_timm(global_pool="avg", pool_include_prefix=True),
        "another output than where attention is kept from them, so that something else reads them, as a mean",
    ),
    "no class token": (
        lambda: of_timm(class_token=False, global_pool="avg"),
        "the model has 4 tokens for 4 patches; expected one for each and a class token",
    ),
    "a mirror image": (Mirrored, "tokens that enter 'vit.patch_drop' are not each made of one patch, in reading order"),
    "patches that overlap": (overlapping, "are not each made of one patch, in reading order; expected a model that"),
    "tokens that mix": (mixed, "another output than where attention is kept from them"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, message = REFUSED[name]
    with pytest.raises(OptionError, match=rf"removal 'drop'.*{message}.*") as raised:
        explainer_of(make()).explain(pictures(1), "exactshapley", 1, players=(2, 2))
    assert "\n" not in str(raised.value)


ONE_PIXEL = (torch.arange(SIZE * SIZE) == 7).long().reshape(SIZE, SIZE)


@pytest.mark.parametrize(("players", "cut"), [((3, 2), 4), (None, 4), (ONE_PIXEL, 1)])
def test_players_that_cut_patches(players, cut):
    with pytest.raises(
        OptionError, match=rf"whole patches of 16 x 16 pixels, and players cut {cut} of 4; expected play"
    ):
        explainer_of(of_timm()).explain(pictures(1), "leaveoneout", 1, players=players, runs=10**6)
