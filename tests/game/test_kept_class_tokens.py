"""The proof of a head with attention is kept, and what follows from it is the same as without it, to the last bit."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from helpers.masked_games import by_hand, random_coalitions
from shapleycam import Explainer, values
from shapleycam.errors import ReplayError
from shapleycam.game import confirmed_shortcuts, kept_proofs
from shapleycam.game.attention import AttentionReader
from shapleycam.game.kept_proofs import is_kept
from shapleycam.game.shortcut_check import ShortcutCheck
from shapleycam.tracing.checks import forget_checks

IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
LAYER = "blocks.1.norm1"


def vision_transformer(**options):
    """Return a tiny vision transformer of timm's: 4 x 4 tokens and a class token, with sharp attention."""
    torch.manual_seed(0)
    size = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 3}
    model = timm.models.vision_transformer.VisionTransformer(**size, **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4 if parameter.dim() == 2 else 1)
        model.head.weight.normal_()
    return model


def huggingface_transformer():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.ViTConfig(**size, image_size=32, patch_size=8)
    return transformers.ViTForImageClassification(config).eval()


def game_of(model, images=IMAGES[:1], removal="zero", layer=LAYER):
    return Explainer(model, layer=layer, utility="rest", removal=removal, device="cpu").game(images, target=0)


@pytest.fixture
def work(monkeypatch):
    """Return a list of what is done for a proof: "repeated" for a second recording, "probed" for a confirmation."""
    done, is_repeated, probes = [], kept_proofs.is_repeated, ShortcutCheck.probes
    monkeypatch.setattr(kept_proofs, "is_repeated", lambda *given: done.append("repeated") or is_repeated(*given))
    monkeypatch.setattr(ShortcutCheck, "probes", lambda check: done.append("probed") or probes(check))
    return done


PROOF = ["repeated", "probed"]
COALITIONS = random_coalitions(20, 17)


def values_of(model, images=IMAGES[:1], **options):
    game = game_of(model, images, **options)
    assert game.shortcut == "class_token"
    return game, game.value(COALITIONS)


def test_a_second_photograph_needs_no_proof(work):
    model = vision_transformer()
    for image in IMAGES:
        game, worth = values_of(model, image[None])
        torch.testing.assert_close(worth, by_hand(game, COALITIONS), atol=1e-5, rtol=1e-4)
    assert work == PROOF


@pytest.mark.parametrize("removal", ["zero", "mean"])
def test_numbers_are_the_same_without_the_kept_proof(work, removal):
    model = vision_transformer()
    values_of(model, IMAGES[:1], removal=removal)
    kept = [each(game_of(model, IMAGES[1:2], removal)) for each in (lambda game: game.value(COALITIONS), sampled)]
    assert work == PROOF
    for each, expected in zip((lambda game: game.value(COALITIONS), sampled), kept, strict=True):
        forget_checks(model)
        assert torch.equal(each(game_of(model, IMAGES[1:2], removal)), expected)
    assert work == 3 * PROOF


def sampled(game):
    shares = values.permutation(game, orders=64)
    return torch.stack([shares.values, shares.stderr])


def write_weights(model):
    with torch.no_grad():
        model.blocks[1].attn.proj.weight.mul_(-1.5)


def add_hook(model):
    model.blocks[1].mlp.register_forward_hook(lambda _module, _inputs, output: output * 1.5)


def replace_forward(model):
    forward = model.blocks[1].mlp.forward
    model.blocks[1].mlp.forward = lambda x: 1.5 * forward(x)


def write_out_attention(model):
    model.blocks[1].attn.fused_attn = False


def exchange_module(model):
    model.blocks[1].mlp.act = nn.Tanh()


CHANGES = [write_weights, add_hook, replace_forward, write_out_attention, exchange_module, nn.Module.double]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_model_is_proven_anew(work, change):
    model = vision_transformer()
    values_of(model)
    change(model)
    images = IMAGES[:1].to(next(model.parameters()).dtype)
    game, worth = values_of(model, images)
    assert work == 2 * PROOF
    torch.testing.assert_close(worth, by_hand(game, COALITIONS), atol=1e-5, rtol=1e-4)


def test_another_size_removal_or_layer_is_proven_by_itself(work):
    model = vision_transformer(dynamic_img_size=True)
    values_of(model)
    values_of(model, removal="mean")
    values_of(model, layer="blocks.0")
    assert game_of(model, torch.rand(1, 3, 40, 40)).shortcut == "class_token"
    assert work == 4 * PROOF
    values_of(model)
    assert len(work) == 8


def test_another_attention_of_transformers_is_proven_by_itself(work):
    model = huggingface_transformer()
    layer = "vit.encoder.layer.1.layernorm_before"
    if layer not in dict(model.named_modules()):
        layer = "vit.layers.1.layernorm_before"
    for implementation, proofs in (("sdpa", 1), ("sdpa", 1), ("eager", 2), ("sdpa", 2)):
        model.set_attn_implementation(implementation)
        game, worth = values_of(model, layer=layer)
        torch.testing.assert_close(worth, by_hand(game, COALITIONS), atol=1e-5, rtol=1e-4)
        assert work == proofs * PROOF


def test_weights_that_are_written_unseen_have_their_own_values():
    """The proof holds for any weights; the table of tokens is made of those of the call."""
    model = vision_transformer()
    _, before = values_of(model)
    model.blocks[1].attn.proj.weight.data.mul_(-1.5)
    game, after = values_of(model)
    assert not torch.allclose(before, after, rtol=0.1)
    torch.testing.assert_close(after, by_hand(game, COALITIONS), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("is_class_token", [True, False])
def test_code_that_is_replaced_in_the_library_is_seen(monkeypatch, is_class_token):
    """The MLP's forward reads the class token alone, or the mean over all tokens, for which there is no shortcut."""
    model = vision_transformer()
    values_of(model)
    forward = timm.layers.Mlp.forward

    def changed(self, x):
        return forward(self, x) + torch.sin(3 * (x[:, :1] if is_class_token else x.mean(1, keepdim=True)))

    monkeypatch.setattr(timm.layers.Mlp, "forward", changed)
    game = game_of(model)
    worth = game.value(COALITIONS)
    assert (game.shortcut == "class_token") is is_class_token
    torch.testing.assert_close(worth, by_hand(game, COALITIONS), atol=1e-5, rtol=1e-4)


class TestWrongShortcut:
    """What is read from the table is made wrong after the proof was kept."""

    @pytest.fixture
    def model(self, monkeypatch):
        model, output = vision_transformer(), AttentionReader.output
        assert values_of(model)
        monkeypatch.setattr(AttentionReader, "output", lambda *given: 1.01 * output(*given))
        return model

    def test_is_found_at_its_first_use(self, model, work):
        game = game_of(model)
        assert is_kept(game._trace, game._coalitions._shortcuts.proof)
        torch.testing.assert_close(game.value(COALITIONS), by_hand(game, COALITIONS))
        assert game.shortcut is None
        assert work == PROOF
        assert game_of(model).shortcut is None

    def test_biases_no_sampled_values(self, model):
        """A control variate of the wrong table costs time, and not the truth."""
        shares, expected = (values.permutation(game_of(model), orders=orders) for orders in (32, 1024))
        error = (shares.values - expected.values).abs()
        assert bool((error < 5 * (shares.stderr + expected.stderr)).all())

    def test_is_an_error_once_it_was_right(self, monkeypatch):
        model, output = vision_transformer(), AttentionReader.output
        values_of(model)
        game, _ = values_of(model)
        monkeypatch.setattr(AttentionReader, "output", lambda *given: 1.01 * output(*given))
        with pytest.raises(ReplayError, match="the model itself gives utility"):
            game.value(COALITIONS)


def test_refusals_of_a_kept_shortcut_are_not_errors(monkeypatch):
    """As those of one that is tried first: the head itself runs."""
    model = vision_transformer()
    values_of(model)

    def refuse(*_):
        raise confirmed_shortcuts.NotProvenError("refused")

    monkeypatch.setattr(AttentionReader, "output", refuse)
    game = game_of(model)
    torch.testing.assert_close(game.value(COALITIONS), by_hand(game, COALITIONS))
    assert game.shortcut is None
