"""Models of images and texts as classifiers of texts: open_clip's, and transformers' CLIP and SigLIP, untrained."""

from __future__ import annotations

from inspect import unwrap

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

import shapleycam
from helpers.lazy_modules import LazyModule
from shapleycam.errors import ModelError, OptionError

open_clip = LazyModule("open_clip")
transformers = LazyModule("transformers")

TEXTS = ["a photo of a cat", "a dog", "two birds"]
VISION = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
TEXT = {**VISION, "max_position_embeddings": 77, "vocab_size": 49408}


def images() -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Tokenizer:
    """open_clip's words in the manner of a tokenizer of transformers: as long as the longest text, or as asked."""

    pad = None

    def __call__(self, texts, *, padding, return_tensors, max_length=None, truncation=False):
        assert return_tensors == "pt"
        assert padding == ("max_length" if max_length else True)
        words = open_clip.tokenize(texts)
        longest = int((words != 0).sum(1).max())
        return {"input_ids": words[:, : max_length or longest]}


class Models(dict):
    """Models with their tokenizers, each made when it is asked for: not all libraries may be installed."""

    def __missing__(self, name):
        torch.manual_seed(0)
        vision = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8}
        text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
        sized = {"vision_config": {**VISION, "image_size": 32, "patch_size": 8}, "text_config": TEXT}
        if name == "open_clip":
            self[name] = open_clip.CLIP(32, vision, text).eval(), open_clip.tokenize
        elif name == "CLIP":
            config = transformers.CLIPConfig(**sized, projection_dim=32)
            self[name] = transformers.CLIPModel(config).eval(), Tokenizer()
        else:
            self[name] = transformers.SiglipModel(transformers.SiglipConfig(**sized)).eval(), Tokenizer()
        return self[name]


@pytest.fixture(scope="module")
def models():
    return Models()


def by_the_model_itself(name, model):
    """The logits as the model's own forward computes them."""
    tokens = open_clip.tokenize(TEXTS)
    if name == "open_clip":
        image, text, scale = model(images(), tokens)[:3]
        return scale * normalize(image, dim=1) @ normalize(text, dim=1).T
    return model(input_ids=tokens, pixel_values=images()).logits_per_image


@pytest.mark.parametrize("name", ["open_clip", "CLIP", "SigLIP"])
def test_the_logits_are_those_of_the_model_itself(name, models):
    model, tokenizer = models[name]
    network = shapleycam.zero_shot(model, TEXTS, tokenizer)
    with torch.no_grad():
        torch.testing.assert_close(network.model(images()), by_the_model_itself(name, model), rtol=1e-4, atol=1e-5)
    assert network.labels == tuple(TEXTS)
    assert network.name == type(model).__name__


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("open_clip", "model.visual.transformer.resblocks.1.ln_1"),
        ("CLIP", "model.vision_model.encoder.layers.1.layer_norm1"),
        ("SigLIP", "model.vision_model.post_layernorm"),
    ],
)
def test_a_text_is_explained_like_a_class(name, layer, models):
    model, tokenizer = models[name]
    explainer = shapleycam.Explainer(shapleycam.zero_shot(model, TEXTS, tokenizer))
    explanations = explainer.compare(images(), ["shapleycam", "pathcam-h", "sampledshapley"], target="a dog")
    assert explainer.find_layer() == layer
    e = explanations["sampledshapley"]
    assert e.label() == "a dog"
    assert e.values.shape == (2, 4, 4)
    prefix = 0 if e.prefix is None else e.prefix
    game = explainer.game(images(), target=1)
    torch.testing.assert_close(e.values.sum((1, 2)) + prefix, game.grand, rtol=1e-3, atol=1e-5)
    only = shapleycam.Explainer(shapleycam.zero_shot(model, TEXTS[1:2], tokenizer), utility="value")
    similarity = only.explain(images(), "hirescam").utility
    torch.testing.assert_close(similarity, e.output[:, 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["open_clip", "CLIP", "SigLIP"])
def test_a_model_in_training_is_left_as_it_is(name, models):
    """Texts are read in eval mode, whatever the model's is; its modes, gradients and random numbers stay."""
    model, tokenizer = models[name]
    expected = shapleycam.zero_shot(model, TEXTS, tokenizer).model.texts
    modes = [index % 3 > 0 for index, _ in enumerate(model.modules())]
    for module, mode in zip(model.modules(), modes, strict=True):
        module.training = mode
    dropout = model.visual.register_forward_pre_hook if name == "open_clip" else model.register_forward_pre_hook
    handle = dropout(lambda module, _: torch.rand(1) if module.training else None)
    state = torch.get_rng_state()
    network = shapleycam.zero_shot(model, TEXTS, tokenizer)
    shapleycam.Explainer(network).explain(images(), "gradcam", target=0)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(network.model.texts, expected)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    handle.remove()
    model.eval()


def test_siglip_reads_texts_as_long_as_it_was_trained_on(models):
    model, tokenizer = models["SigLIP"]
    network = shapleycam.zero_shot(model, TEXTS, tokenizer)
    with torch.no_grad():
        short = normalize(model.get_text_features(**tokenizer(TEXTS, padding=True, return_tensors="pt")).pooler_output)
    assert not torch.allclose(network.model.texts, short, atol=1e-3)  # what the words alone would give


def test_a_model_that_scales_its_logits_in_another_way_is_refused(models):
    model, tokenizer = models["CLIP"]

    class Colder(type(model)):
        def forward(self, *args, **kwargs):
            output = super().forward(*args, **kwargs)
            output.logits_per_image = output.logits_per_image / 2
            return output

    colder = Colder(model.config).eval()
    with pytest.raises(ModelError, match=r"model Colder makes its logits of embeddings in another way than exp"):
        shapleycam.zero_shot(colder, TEXTS, tokenizer)


def test_a_processor_brings_its_tokenizer_and_its_preprocessing(models):
    class Processor:
        tokenizer = Tokenizer()
        image_processor = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)

    network = shapleycam.zero_shot(models["CLIP"][0], TEXTS, Processor())
    assert network.preprocess.crop == (32, 32)
    assert network.preprocess.resize == 32


def test_other_models_and_other_texts_are_refused(models):
    with pytest.raises(ModelError, match="model Linear has no encode_text or get_text_features; expected open_clip's"):
        shapleycam.zero_shot(nn.Linear(2, 2), TEXTS, open_clip.tokenize)
    with pytest.raises(OptionError, match="texts='a cat'; expected a list of texts"):
        shapleycam.zero_shot(models["open_clip"][0], "a cat", open_clip.tokenize)
    with pytest.raises(OptionError, match=r"texts=\[\]; expected a list of texts"):
        shapleycam.zero_shot(models["open_clip"][0], [], open_clip.tokenize)


class Pooling(nn.Module):
    """Embeddings of images are means of channels, and texts come as embeddings."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, stride=4)

    def encode_image(self, images):
        return self.conv(images).mean((2, 3))

    def encode_text(self, tokens):
        return self.conv.bias[tokens]


def embed(texts):
    return torch.arange(4).repeat(len(texts), 1)


@pytest.mark.parametrize(
    ("texts", "tokenizer", "error", "message"),
    [
        ((text for text in TEXTS), embed, OptionError, "expected a list of texts"),  # it would be used up
        ({"a cat": 1}, embed, OptionError, "expected a list of texts"),
        (TEXTS, None, OptionError, "the tokenizer is a NoneType; expected the model's own"),
        (TEXTS, lambda texts: [[1]] * len(texts), OptionError, "the tokenizer returns a list; expected a tensor"),
        (
            TEXTS,
            lambda texts: embed(texts[1:]),
            OptionError,
            r"texts given: \d, embeddings that .* of them: \d; expected",
        ),
        (TEXTS, lambda texts: embed(texts) + 9, ModelError, "does not run on the tokens of the texts: IndexError"),
    ],
)
def test_what_does_not_make_one_embedding_of_each_text_is_refused(texts, tokenizer, error, message):
    with pytest.raises(error, match=message):
        unwrap(shapleycam.zero_shot)(Pooling(), texts, tokenizer)  # tests check annotations before it


def test_texts_that_begin_alike_keep_their_names():
    texts = ["a cat, asleep", "a cat, awake", "a dog, asleep"]
    explainer = shapleycam.Explainer(shapleycam.zero_shot(Pooling(), texts, embed), layer="model.conv", device="cpu")
    labels = [explainer.explain(torch.rand(1, 3, 8, 8), "sampledshapley", target=text).label() for text in texts]
    assert labels == ["a cat, asleep", "a cat, awake", "a dog"]


def test_preprocessing_that_is_no_function_is_refused():
    with pytest.raises(OptionError, match="preprocess= is a int; expected a function from an RGB PIL image"):
        shapleycam.zero_shot(Pooling(), TEXTS, embed, preprocess=3)
