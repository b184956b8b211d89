"""The next token of models of images and texts as a class: tiny, untrained models of transformers."""

from __future__ import annotations

from itertools import product
from math import factorial

import pytest
import torch
from PIL import Image
from torch import nn

import shapleycam
from helpers.lazy_modules import LazyModule
from shapleycam.errors import ModelError, OptionError, TargetError

transformers = LazyModule("transformers")
tokenizers = LazyModule("tokenizers")

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")

VISION = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
VISION |= {"image_size": 32, "patch_size": 8}
TEXT = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT |= {"vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
WORDS = ["<pad>", "<s>", "</s>", "what", "is", "it", "?", "a", "dog", "cat", "<image>", "2"]
IMAGE, DOG = WORDS.index("<image>"), WORDS.index("dog")
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def tokens(places: int, image: int = IMAGE) -> torch.Tensor:
    """Return the tokens of "<s> <image>... what is it ?"."""
    return torch.tensor([[1, *[image] * places, 3, 4, 5, 6]])


@pytest.fixture(scope="module")
def llava():
    torch.manual_seed(0)
    vision, text = transformers.CLIPVisionConfig(**VISION), transformers.LlamaConfig(**TEXT)
    config = transformers.LlavaConfig(vision_config=vision, text_config=text, image_token_index=IMAGE)
    return transformers.LlavaForConditionalGeneration(config).eval()


@pytest.fixture(scope="module")
def processor():
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: i for i, word in enumerate(WORDS)}, "<pad>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>")  # noqa: S106
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    pictures = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    return transformers.LlavaProcessor(
        pictures, tokenizer, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )


@pytest.fixture(scope="module")
def inputs(processor):
    photo = Image.new("RGB", (40, 32), (200, 100, 50))
    return dict(processor(images=photo, text="<s> <image> what is it ?", return_tensors="pt"))


@pytest.fixture(scope="module")
def network(llava, inputs, processor):
    return shapleycam.next_token(llava, inputs, processor)


def by_the_model_itself(llava, images):
    """Return the log-probability of "dog" as the next token, by the model's own forward, one image at a time."""
    ids = tokens(16)
    logits = [llava(input_ids=ids, pixel_values=image[None]).logits[0, -1] for image in images]
    return torch.stack(logits).log_softmax(1)[:, DOG]


def test_the_processor_makes_the_tokens_that_the_tests_name(inputs):
    assert torch.equal(inputs["input_ids"], tokens(16))


def test_the_utility_is_the_models_own_log_probability_of_the_token(network, llava):
    explainer = shapleycam.Explainer(network, utility="log_probability")
    e = explainer.explain(IMAGES, "sampledshapley", target="dog")
    with torch.no_grad():
        torch.testing.assert_close(e.utility, by_the_model_itself(llava, IMAGES), rtol=1e-5, atol=1e-5)
    assert e.layer == "model.model.multi_modal_projector"  # behind the vision tower, without its class token
    assert (e.values.shape, e.prefix, e.label()) == ((2, 4, 4), None, "dog")
    grand = explainer.game(IMAGES, target=DOG).grand
    torch.testing.assert_close(e.values.sum((1, 2)), grand, rtol=1e-3, atol=1e-6)


def test_exact_values_are_those_of_all_coalitions_played_by_a_hook(network, llava):
    """A second derivation: regions of the projector's tokens are set to zero by a hook, and the model runs whole."""
    regions = torch.arange(16).reshape(4, 4) // 8 * 2 + torch.arange(16).reshape(4, 4) % 4 // 2  # 2 x 2
    worth = {}
    for coalition in product([False, True], repeat=4):
        present = torch.tensor(coalition)[regions.flatten()]
        handle = llava.model.multi_modal_projector.register_forward_hook(
            lambda _, __, output, present=present: output * present[:, None]
        )
        with torch.no_grad():
            worth[coalition] = by_the_model_itself(llava, IMAGES[:1])[0]
        handle.remove()
    expected = torch.zeros(4)
    for player, coalition in product(range(4), worth):
        if not coalition[player]:
            joined = (*coalition[:player], True, *coalition[player + 1 :])
            weight = factorial(sum(coalition)) * factorial(3 - sum(coalition)) / factorial(4)
            expected[player] += weight * (worth[joined] - worth[coalition])
    explainer = shapleycam.Explainer(network, utility="log_probability")
    actual = shapleycam.values.exact(explainer.game(IMAGES[:1], target="dog", players=(2, 2))).values[0].float()
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-6)


def test_a_class_token_that_is_dropped_is_worth_nothing(network):
    explainer = shapleycam.Explainer(network, "model.model.vision_tower.encoder.layers.1", "log_probability")
    e = explainer.explain(IMAGES, "sampledshapley", target="dog")
    assert e.values.shape == (2, 4, 4)
    assert torch.equal(e.prefix, torch.zeros(2))


def test_a_photograph_goes_through_the_processor(network, processor):
    photo = Image.linear_gradient("L").convert("RGB")
    explainer = shapleycam.Explainer(network, utility="log_probability")
    e = explainer.explain(photo, "gradcam", target="dog")
    pixels = processor.image_processor(photo, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(
        e.utility, explainer.explain(pixels, "gradcam", target=DOG).utility, rtol=0.01, atol=0.01
    )
    assert e.overlay().size == photo.size


def test_the_vocabulary_is_the_list_of_classes(network):
    assert network.labels[: len(WORDS)] == tuple(WORDS)
    assert network.labels[len(WORDS) :] == tuple(f"token {index}" for index in range(len(WORDS), 64))
    explainer = shapleycam.Explainer(network, utility="log_probability")
    with pytest.raises(TargetError, match="class 'dogs' is not among the model's 64 labels; did you mean 'dog'"):
        explainer.explain(IMAGES, target="dogs")
    with pytest.raises(
        TargetError, match=r"class '2' is the number of class 2 \('</s>'\) and the label of class 11; give"
    ):
        explainer.explain(IMAGES, target="2")


def test_other_models_place_their_images_by_themselves():
    """SmolVLM takes an image as one tile; PaliGemma has token types; an encoder with a decoder has neither."""
    torch.manual_seed(0)
    text = {**TEXT, "num_key_value_heads": 2, "head_dim": 16}
    siglip = {**VISION, "model_type": "siglip_vision_model", "projection_dim": 32}
    smol = transformers.SmolVLMConfig(
        vision_config=VISION, text_config={**text, "model_type": "llama"}, image_token_id=IMAGE, scale_factor=2
    )
    gemma = transformers.PaliGemmaConfig(
        vision_config=siglip, text_config={**text, "model_type": "gemma"}, image_token_index=IMAGE, projection_dim=32
    )
    decoder = transformers.GPT2Config(
        vocab_size=64, n_embd=32, n_layer=1, n_head=2, n_positions=32, add_cross_attention=True, is_decoder=True
    )
    captions = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        transformers.ViTConfig(**VISION), decoder
    )
    tile = {"pixel_values": IMAGES[:1, None], "pixel_attention_mask": torch.ones(1, 1, 32, 32, dtype=torch.long)}
    whole = {"pixel_values": IMAGES[:1]}
    types = {"token_type_ids": torch.zeros(1, 21, dtype=torch.long)}
    for model, prompt, grid in [
        (transformers.SmolVLMForConditionalGeneration(smol), {"input_ids": tokens(4), **tile}, 2),
        (transformers.PaliGemmaForConditionalGeneration(gemma), {"input_ids": tokens(16), **types, **whole}, 4),
        (transformers.VisionEncoderDecoderModel(captions), {"decoder_input_ids": tokens(0), **whole}, 4),
    ]:
        model.eval()
        explainer = shapleycam.Explainer(shapleycam.next_token(model, prompt), utility="log_probability")
        e = explainer.explain(IMAGES[:1], "pathcam-h", target=DOG)
        with torch.no_grad():
            expected = model(**prompt).logits[:, -1].log_softmax(1)[:, DOG]
        torch.testing.assert_close(e.utility, expected, rtol=1e-4, atol=1e-5)
        assert e.values.shape == (1, grid, grid)
        assert float(e.values.abs().sum()) > 0


def test_a_model_in_training_is_left_as_it_is(llava, inputs):
    expected = shapleycam.next_token(llava, inputs).model(IMAGES)
    llava.train()
    state, kept = torch.get_rng_state(), {name: tensor.clone() for name, tensor in llava.state_dict().items()}
    network = shapleycam.next_token(llava, inputs)
    e = shapleycam.Explainer(network, utility="log_probability").explain(IMAGES, "shapleycam", target=DOG)
    assert all(module.training for module in llava.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in llava.state_dict().items())
    assert all(parameter.grad is None for parameter in llava.parameters())
    torch.testing.assert_close(e.output, expected, rtol=1e-4, atol=1e-5)
    llava.eval()


PIXELS = IMAGES[:1]
IDS = tokens(16)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pixel_values": None}, "the inputs are a dict; expected what the processor makes of one prompt and one"),
        ({"pixel_values": IMAGES}, r"pixel_values have the shape \(2, 3, 32, 32\); expected one image \(1, c, h, w\)"),
        ({"pixel_values": PIXELS[:, None].expand(1, 5, 3, 32, 32)}, r"pixel_values have the shape \(1, 5, 3, 32, 32\)"),
        ({"pixel_values": torch.rand(16, 384)}, r"pixel_values have the shape \(16, 384\); expected one image"),
        ({"input_ids": None}, r"the inputs hold pixel_values, attention_mask; expected input_ids \(1, length\) too"),
        ({"input_ids": IDS.expand(2, -1)}, r"input_ids is of shape \(2, 21\); expected a tensor \(1, ...\) of one"),
        ({"input_ids": IDS[:, :0]}, r"input_ids is of shape \(1, 0\); expected at least one token"),
        ({"pixel_values": torch.tensor(1.0)}, r"pixel_values have the shape \(\); expected one image"),
        ({"input_ids": IDS.tolist()}, r"input_ids is a list; expected a tensor \(1, ...\) of one prompt"),
        (
            {"attention_mask": torch.tensor([[1] * 20 + [0]])},
            r"the prompt ends in padding \(attention_mask ends in 0\), so that its last place is not that of the next",
        ),
        (
            {"pixel_attention_mask": torch.tensor([[[1, 0]]])},
            "a part of the image is padding; expected an image that fills the model's input: crop it",
        ),
    ],
)
def test_what_is_no_prompt_with_one_image_is_refused(llava, changed, message):
    prompt = {"pixel_values": PIXELS, "input_ids": IDS, "attention_mask": torch.ones_like(IDS), **changed}
    with pytest.raises(OptionError, match=message):
        shapleycam.next_token(llava, {name: value for name, value in prompt.items() if value is not None})


def test_a_prompt_that_the_model_cannot_read_is_refused(llava):
    with pytest.raises(ModelError, match=r"LlavaForConditionalGeneration does not run on input_ids and pixel_values: "):
        shapleycam.next_token(llava, {"pixel_values": PIXELS, "input_ids": tokens(15)})
    with pytest.raises(ModelError, match="does not run on input_ids, words and pixel_values: TypeError"):
        shapleycam.next_token(Unreadable(), {"pixel_values": PIXELS, "input_ids": IDS, "words": IDS})
    with pytest.raises(ModelError, match=r"does not run on input_ids and pixel_values: (IndexError|ValueError)"):
        shapleycam.next_token(llava, {"pixel_values": PIXELS, "input_ids": IDS * 1000})
    for other, kind in ((None, "a NoneType"), ("llava", "a str"), (nn.Identity(), "a Identity without weights")):
        with pytest.raises(ModelError, match=f"the model is {kind}; expected a model of images and texts"):
            shapleycam.next_token(other, {"pixel_values": PIXELS, "input_ids": IDS})
    with pytest.raises(ModelError, match=r"model LlavaModel returns no logits; expected logits \(b, length, voc"):
        shapleycam.next_token(llava.model, {"pixel_values": PIXELS, "input_ids": IDS})


class Unreadable(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)

    def forward(self, input_ids, pixel_values): ...
