"""Maps made of scores of masked images: by pencil, by a plain loop, against pytorch-grad-cam and torch-cam."""

from __future__ import annotations

import math

import pytest
import timm
import torch
from torch import nn
from torch.nn.functional import interpolate

from helpers.lazy_modules import LazyModule
from helpers.networks import linear
from helpers.table_rows import OF_MASKED_IMAGES
from helpers.user_models import assert_untouched, state_of
from shapleycam import METHODS, Explainer
from shapleycam.cams import channel_masks, optimised_masks, rise
from shapleycam.cams.heatmaps import heatmap
from shapleycam.errors import OptionError, RemovalNotUsedWarning

pytorch_grad_cam = LazyModule("pytorch_grad_cam")
model_targets = LazyModule("pytorch_grad_cam.utils.model_targets")
torchcam_methods = LazyModule("torchcam.methods")

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")

OF_CHANNELS = ["scorecam", "sscam", "iscam"]
SIZE = 32


@pytest.fixture(autouse=True)
def few_masks(monkeypatch):
    """As many random masks, and steps of an optimisation, as a test can wait for."""
    monkeypatch.setattr(rise, "MASKS", 60)
    monkeypatch.setattr(optimised_masks, "STEPS", 12)


def pictures(count=3):
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) - 0.3


def convolutional(channels=6, activation=nn.ReLU, stride=4):
    torch.manual_seed(0)
    body = [nn.Conv2d(3, channels, 5, stride=stride), activation()]
    tail = [nn.Conv2d(channels, 8, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    return nn.Sequential(*body, *tail).eval()


def vit():
    torch.manual_seed(0)
    shape = {"img_size": SIZE, "patch_size": 8, "embed_dim": 12, "depth": 2, "num_heads": 3, "num_classes": 4}
    return timm.models.VisionTransformer(**shape).eval()


class ChannelsLast(nn.Module):
    """A layer whose channels are last."""

    def __init__(self):
        super().__init__()
        self.model = convolutional()
        self.last = nn.Identity()

    def forward(self, x):
        return self.model[2:](self.last(self.model[:2](x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def volumes():
    torch.manual_seed(0)
    tail = [nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 3)]
    return nn.Sequential(nn.Conv3d(1, 4, 3, stride=2), nn.ReLU(), *tail).eval()


class BatchMaximum(nn.Module):
    """Divides its images by the largest number of the whole batch, so that they influence each other."""

    def __init__(self):
        super().__init__()
        self.model = convolutional()

    def forward(self, x):
        return self.model(x / x.abs().amax())


class BatchMean(BatchMaximum):
    """Subtracts half of the mean image of the batch."""

    def forward(self, x):
        return self.model(x - x.mean(0, keepdim=True) / 2)


class BatchCondition(BatchMaximum):
    """Rescales the whole batch where one number of it is negative."""

    def forward(self, x):
        return self.model((x + 1) / 2 if float(x.min()) < 0 else x)


class OneImage(BatchMaximum):
    """Takes one image at a time."""

    def forward(self, x):
        return self.model(x.reshape(1, 3, SIZE, SIZE))


# What holds for every row


def test_none_is_missing():
    assert [*OF_CHANNELS, "occlusion", "rise", "opticam"] == OF_MASKED_IMAGES
    for name in OF_MASKED_IMAGES:
        assert METHODS[name].sets == ("field",)
        assert not METHODS[name].in_units


@pytest.mark.parametrize("method", OF_MASKED_IMAGES)
def test_nothing_is_changed_and_a_default_device_does_not_matter(method):
    explainer, images = Explainer(convolutional().train(), layer="1"), pictures(2)
    before, random_state = state_of(explainer.model), torch.get_rng_state()
    expected = explainer.explain(images, method).values
    assert_untouched(before, explainer.model)
    assert torch.equal(torch.get_rng_state(), random_state)
    with torch.device("meta"), torch.inference_mode():
        actual = explainer.explain(images, method).values
    assert torch.equal(actual, expected)


FEW = ("scorecam", "rise")
"""One method of masks by channels and one of drawn masks, where what is tested is the network."""


@pytest.mark.parametrize(
    ("method", "make", "layer"),
    [
        *((method, convolutional, "1") for method in OF_MASKED_IMAGES),
        *((method, *network) for network in ((vit, "blocks.1.norm1"), (ChannelsLast, "last")) for method in FEW),
    ],
)
def test_independent_of_batch_mates_and_memory(method, make, layer):
    explainer, images = Explainer(make(), layer=layer), pictures()
    together = explainer.explain(images, method, target=1)
    assert together.heatmap.shape == (3, SIZE, SIZE)
    assert together.values.dtype == torch.float32
    little = Explainer(make(), layer=layer, memory=1)
    alone = little.explain(images[1:2], method, target=1)
    torch.testing.assert_close(alone.values[0], together.values[1], rtol=1e-3, atol=1e-6)
    assert float(together.values.std()) > 0


@pytest.mark.parametrize(
    ("method", "make"),
    [
        *((method, BatchMean) for method in OF_MASKED_IMAGES),
        *((method, make) for make in (BatchMaximum, BatchCondition, OneImage) for method in FEW),
    ],
)
def test_each_masked_image_is_scored_alone_where_a_batch_changes_the_output(method, make):
    """With one byte of memory each image is a batch of its own, and nothing influences it."""
    expected = Explainer(make(), layer="model.1", memory=1).explain(pictures(1), method, target=1).values
    actual = Explainer(make(), layer="model.1").explain(pictures(1), method, target=1).values
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-7)
    assert float(actual.abs().max()) > 0


@pytest.mark.parametrize("method", OF_MASKED_IMAGES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_formats(method, dtype):
    expected = Explainer(convolutional().to(dtype).float(), layer="1").explain(pictures(1), method, target=1).values
    actual = Explainer(convolutional().to(dtype), layer="1").explain(pictures(1), method, target=1).values
    scale = float(expected.abs().max())
    # The scores themselves have 8 bits in bfloat16, of which small differences are taken.
    tolerance = 1e-3 if dtype == torch.float64 else {"occlusion": 0.5, "rise": 0.5, "opticam": 0.5}.get(method, 0.02)
    torch.testing.assert_close(actual / scale, expected / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("method", OF_MASKED_IMAGES)
def test_layouts_give_the_same_map(method):
    expected = Explainer(convolutional(), layer="1").explain(pictures(2), method, target=1)
    for e in (
        Explainer(ChannelsLast(), layer="last").explain(pictures(2), method, target=1),
        Explainer(convolutional().to(memory_format=torch.channels_last), layer="1").explain(
            pictures(2).to(memory_format=torch.channels_last), method, target=1
        ),
    ):
        # Adam's steps have one size however small the gradient is, so that they enlarge what rounding leaves.
        tolerance = 0.01 * float(expected.values.max()) if method == "opticam" else 1e-6
        torch.testing.assert_close(e.values, expected.values, rtol=1e-3, atol=tolerance)


@pytest.mark.parametrize("method", OF_MASKED_IMAGES)
def test_volumes(method):
    images = torch.rand(2, 1, 6, 8, 10, generator=torch.Generator().manual_seed(1))
    e = Explainer(volumes(), layer="1").explain(images, method, target=1)
    assert e.values.shape == (2, 2, 3, 4)
    assert e.heatmap.shape == (2, 6, 8, 10)


@pytest.mark.parametrize("method", OF_MASKED_IMAGES)
def test_each_run_is_reported_and_an_exception_ends_the_work(method):
    counts = []

    def report(count, error):
        assert math.isnan(error)
        counts.append(count)
        if len(counts) == 2:
            raise KeyboardInterrupt

    model = convolutional()
    before = state_of(model)
    with pytest.raises(KeyboardInterrupt):
        Explainer(model, layer="1", memory=1).explain(pictures(1), method, progress=report)
    assert counts == [1, 2]
    assert_untouched(before, model)


@pytest.mark.parametrize("method", OF_MASKED_IMAGES)
def test_a_removal_is_not_used(method):
    with pytest.warns(RemovalNotUsedWarning, match=f"removal 'mean' is not used by {method}"):
        Explainer(convolutional(), layer="1").explain(pictures(1), method, removal="mean")


@pytest.mark.parametrize("method", [name for name in OF_MASKED_IMAGES if name != "opticam"])
def test_the_price_is_the_number_of_passes(method):
    """The model runs once for the image itself and for each masked image, beside five by which batches are tried."""
    rows = []
    model = convolutional()
    explainer = Explainer(model, layer="1")
    game = explainer.game(pictures(1), target=1)
    original = type(game).score_images

    def score(game, images, samples):
        rows.append(len(images))
        return original(game, images, samples)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(game), "score_images", score)
        explainer.explain(pictures(1), method, target=1)
    assert sum(rows) == METHODS[method].basis.cost_of(game.n_players, channels=6).model_passes


def test_a_masked_image_whose_score_is_not_finite_is_refused():
    images = pictures(1)
    whole = float(images.abs().sum())

    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = convolutional()

        def forward(self, x):
            is_whole = x.abs().sum((1, 2, 3)) > 0.99 * whole
            return self.model(x) / is_whole.float()[:, None]

    explainer = Explainer(Gated(), layer="model.1", utility="logit")
    with pytest.raises(OptionError, match=r"utility 'logit' is not finite \(\[.*\]\) for a masked image; expected"):
        explainer.explain(images, "scorecam", target=1)


# Masks of channels


def scores_by_loop(model, image, maps, change, target=1):
    """The logit of the image under each channel's mask, one pass of the model after the other."""
    scores = []
    for channel in maps:
        mask = interpolate(channel[None, None], size=image.shape[1:], mode="bilinear", align_corners=False)[0, 0]
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        with torch.no_grad():
            scores.append([float(model((image * each)[None])[0, target]) for each in change(mask)])
    return torch.tensor(scores, dtype=torch.float64)


def noisy_by_loop(seed):
    generator = torch.Generator().manual_seed(seed)

    def change(mask):
        return [mask + 2 * torch.randn(mask.shape, generator=generator) for _ in range(10)]

    return change


@pytest.mark.parametrize("method", OF_CHANNELS)
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_channel_masks_by_a_plain_loop(method, activation):
    model, images = convolutional(activation=activation), pictures(2)
    explainer = Explainer(model, layer="1", utility="logit")
    maps = model[:2](images).detach()
    for index, seed in enumerate(explainer.game(images).seeds(0)):
        changes = {
            "scorecam": lambda mask: [mask],
            "sscam": noisy_by_loop(seed),
            "iscam": lambda mask: [step / 10 * mask for step in range(1, 11)],
        }
        weights = scores_by_loop(model, images[index], maps[index], changes[method]).mean(1).exp()
        weights = (weights / weights.sum()).float()
        expected = torch.einsum("k,khw->hw", weights, maps[index])
        actual = explainer.explain(images, method, target=1).values[index]
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)


def test_scorecam_by_pencil():
    """Channels (0, 2) and (4, 8) have the mask (0, 1): each scores 2 + 8/4, so that they weigh the same."""
    image = torch.tensor([[[[0.0, 2.0]], [[4.0, 8.0]]]])
    model = linear(torch.tensor([[[[1.0, 1.0]], [[0.5, 0.25]]]]))
    e = Explainer(model, layer="features", utility="logit").explain(image, "scorecam", target=0)
    torch.testing.assert_close(e.values, torch.tensor([[[2.0, 5.0]]]))


def test_scorecam_weights_by_the_softmax_of_the_scores():
    """Masks (0, 1) and (1, 0) score log 3 and 0, so that they weigh 3/4 and 1/4."""
    image = torch.tensor([[[[0.0, 1.0]], [[1.0, 0.0]]]])
    model = linear(torch.tensor([[[[0.0, math.log(3)]], [[0.0, 0.0]]]]))
    e = Explainer(model, layer="features", utility="logit").explain(image, "scorecam", target=0)
    torch.testing.assert_close(e.values, torch.tensor([[[0.25, 0.75]]]))


@pytest.mark.parametrize("method", OF_CHANNELS)
def test_a_constant_channel_weighs_nothing(method):
    """A constant has no mask: the map is that of the other channels alone, whatever the constant is."""
    image = torch.tensor([[[[0.0, 1.0]], [[1.0, 0.0]], [[0.1, 0.1]]]])
    weight = torch.tensor([[[[0.0, 1.0]], [[0.5, 0.0]], [[0.0, 0.0]]]])
    kept = Explainer(linear(weight), layer="features", utility="logit").explain(image, method, target=0, seed=[1])
    image[:, 2] = 7.3
    other = Explainer(linear(weight), layer="features", utility="logit").explain(image, method, target=0, seed=[1])
    torch.testing.assert_close(kept.values, other.values)
    assert kept.values.amax() <= 1


@pytest.mark.parametrize("method", OF_CHANNELS)
def test_where_all_channels_are_constant_the_map_is_zero(method):
    image = torch.full((1, 2, 1, 2), 3.0)
    e = Explainer(linear(torch.ones(1, 2, 1, 2)), layer="features").explain(image, method, target=0)
    assert not e.values.any()


@pytest.mark.parametrize("method", OF_CHANNELS)
def test_one_channel(method):
    """Softmax of one score is 1: the map is the channel."""
    model, images = convolutional(channels=1), pictures(2)
    e = Explainer(model, layer="1").explain(images, method)
    torch.testing.assert_close(e.values, model[:2](images)[:, 0].detach())


def test_pytorch_grad_cam_has_the_same_scorecam_but_for_its_upsampling():
    """Its maps are resized with the corners aligned: with the same masks the map is the same."""
    model, images = convolutional(), pictures(2)
    target = [model_targets.ClassifierOutputTarget(1)] * 2
    with pytorch_grad_cam.ScoreCAM(model=model, target_layers=[model[1]]) as cam, pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size, mode="bilinear"))
        theirs = torch.from_numpy(cam(images, target))
    ours = Explainer(model, layer="1", utility="logit").explain(images, "scorecam", target=1).heatmap
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def test_torchcam_has_the_same_scorecam_where_resizing_comes_first(monkeypatch):
    """torch-cam scales a map before it is resized, where its largest number may lie between pixels."""
    model, images = convolutional(stride=1), pictures(1)  # the layer is as large as the image, less its edge
    model[0] = nn.Conv2d(3, 6, 5, padding=2)
    with torchcam_methods.ScoreCAM(model, "1", input_shape=(3, SIZE, SIZE)) as extractor:
        (theirs,) = extractor(1, model(images))
    ours = Explainer(model, layer="1", utility="logit").explain(images, "scorecam", target=1)
    torch.testing.assert_close(ours.heatmap, theirs, rtol=0, atol=1e-4)


def test_torchcam_has_the_same_iscam_at_its_own_shares(monkeypatch):
    """torch-cam adds the shares up: 1/10, 3/10, ... 55/10 of the masked image."""
    shares = tuple(sum(range(1, step + 1)) / 10 for step in range(1, 11))
    monkeypatch.setattr(channel_masks, "SHARES", shares)
    model, images = convolutional(stride=1), pictures(1)
    model[0] = nn.Conv2d(3, 6, 5, padding=2)
    with torchcam_methods.ISCAM(model, "1", input_shape=(3, SIZE, SIZE)) as extractor:
        (theirs,) = extractor(1, model(images))
    ours = Explainer(model, layer="1", utility="logit").explain(images, "iscam", target=1)
    torch.testing.assert_close(ours.heatmap, theirs, rtol=0, atol=1e-4)


def test_torchcam_has_the_same_sscam_with_the_same_noise():
    model, images = convolutional(stride=1), pictures(1)
    model[0] = nn.Conv2d(3, 6, 5, padding=2)
    explainer = Explainer(model, layer="1", utility="logit")
    generator = torch.Generator().manual_seed(explainer.game(images).seeds(0)[0])
    drawn = torch.stack([torch.randn(SIZE, SIZE, generator=generator) for _ in range(60)]).unflatten(0, (6, 10))
    with torchcam_methods.SSCAM(model, "1", input_shape=(3, SIZE, SIZE), num_samples=10, std=2.0) as extractor:
        samples = iter(2 * drawn.transpose(0, 1)[:, None])
        extractor._distrib.sample = lambda _: next(samples)
        (theirs,) = extractor(1, model(images))
    ours = explainer.explain(images, "sscam", target=1)
    torch.testing.assert_close(ours.heatmap, theirs, rtol=0, atol=1e-4)


# Covered cells


def test_occlusion_by_a_plain_loop():
    """Cells of 32 pixels in 7: pixel p lies in cell p * 7 // 32."""
    model, images = convolutional(), pictures(2)
    e = Explainer(model, layer="1", utility="logit").explain(images, "occlusion", target=1)
    edges = [math.ceil(cell * SIZE / 7) for cell in range(8)]
    with torch.no_grad():
        for index, image in enumerate(images):
            for row in range(7):
                for column in range(7):
                    covered = image.clone()
                    block = covered[:, edges[row] : edges[row + 1], edges[column] : edges[column + 1]]
                    block[:] = image.mean((1, 2))[:, None, None]
                    lost = model(image[None])[0, 1] - model(covered[None])[0, 1]
                    torch.testing.assert_close(e.values[index, row, column], lost, rtol=1e-3, atol=1e-5)


def test_occlusion_by_pencil():
    """Pixels 1, 2, 3 and 6 have the mean 3; of weights 1, 2, 3, 4 covering costs -2, -2, 0 and 12."""
    image = torch.tensor([[[[1.0, 2.0, 3.0, 6.0]]]])
    model = linear(torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]]))
    explainer = Explainer(model, layer="features", utility="logit")
    e = explainer.explain(image, "occlusion", target=0)
    torch.testing.assert_close(e.values, torch.tensor([[[-2.0, -2.0, 0.0, 12.0]]]))
    halves = explainer.explain(image, "occlusion", target=0, players=(1, 2))  # a region's loss is shared by its cells
    torch.testing.assert_close(halves.values, torch.tensor([[[-2.0, -2.0, 6.0, 6.0]]]))


def test_occlusion_covers_patches_of_tokens():
    """A class token has no place in the image; the patches are the cells."""
    model, images = vit(), pictures(1)
    e = Explainer(model, layer="blocks.1.norm1", utility="logit").explain(images, "occlusion", target=1)
    assert e.prefix.tolist() == [0]
    covered = images.clone()
    covered[:, :, 8:16, 24:] = images.mean((2, 3), keepdim=True)
    with torch.no_grad():
        torch.testing.assert_close(e.values[0, 1, 3], (model(images) - model(covered))[0, 1], rtol=1e-3, atol=1e-5)


# Random masks


def test_rise_by_a_plain_loop():
    model, images = convolutional(), pictures(2)
    explainer = Explainer(model, layer="1", utility="logit")
    e = explainer.explain(images, "rise", target=1)
    edges = [(math.floor(cell * SIZE / 7), math.ceil((cell + 1) * SIZE / 7)) for cell in range(7)]
    for index, seed in enumerate(explainer.game(images).seeds(0)):
        generator = torch.Generator().manual_seed(seed)
        scores, kept = [], []
        for _ in range(60):
            cells = (torch.rand(7, 7, generator=generator) < 0.5).float()
            larger = interpolate(cells[None, None], size=(40, 40), mode="bilinear", align_corners=False)[0, 0]
            top, left = (int(torch.randint(5, (), generator=generator)) for _ in range(2))
            mask = larger[top : top + SIZE, left : left + SIZE]
            kept.append([[float(mask[a:b, c:d].mean()) for c, d in edges] for a, b in edges])
            with torch.no_grad():
                scores.append(float(model((images[index] * mask)[None])[0, 1]))
        centred = torch.tensor(scores, dtype=torch.float64) - sum(scores) / 60
        expected = torch.einsum("s,shw->hw", centred, torch.tensor(kept, dtype=torch.float64)) / 60 / 0.5
        torch.testing.assert_close(e.values[index].double(), expected, rtol=1e-3, atol=1e-6)


def test_rise_finds_the_place_that_the_score_reads(monkeypatch):
    """Of a score that is one pixel's, its cell rises most; a mask keeps half of the image in the mean."""
    monkeypatch.setattr(rise, "MASKS", 400)
    weight = torch.zeros(1, 1, 7, 7)
    weight[0, 0, 2, 5] = 1
    e = Explainer(linear(weight), layer="features", utility="logit").explain(torch.ones(1, 1, 7, 7), "rise", target=0)
    assert int(e.values.flatten().argmax()) == 2 * 7 + 5
    # 7 cells are resized to 8 pixels: rows 2 and columns 5 are 11/16 of one cell and 5/16 of the next, of variance 1/4.
    share = (11 / 16) ** 2 + (5 / 16) ** 2
    assert float(e.values[0, 2, 5]) == pytest.approx(share**2 / 4 / 0.5, rel=0.15)
    (note,) = e.notes[0]
    assert "rise drew 400 masks: the standard error of its values is" in note


def test_rise_is_drawn_from_content_and_seed():
    explainer, images = Explainer(convolutional(), layer="1"), pictures(2)
    first = explainer.explain(images, "rise", target=1, seed=1)
    flipped = explainer.explain(images.flip(0), "rise", target=1, seed=1)
    torch.testing.assert_close(first.values, flipped.values.flip(0), rtol=1e-3, atol=1e-6)
    assert not torch.allclose(first.values, explainer.explain(images, "rise", target=1, seed=2).values)


# Masks that are optimised


def test_opticam_by_a_plain_loop():
    model, images = convolutional(), pictures(2)
    ours = Explainer(model, layer="1", utility="logit").explain(images, "opticam", target=1)
    for image, values in zip(images, ours.values, strict=True):
        maps = model[:2](image[None])[0].detach()
        u = torch.zeros(6, requires_grad=True)
        adam = torch.optim.Adam([u], lr=0.1)
        for _ in range(12):
            combined = (u.softmax(0)[:, None, None] * maps).sum(0)
            mask = interpolate(combined[None, None], size=(SIZE, SIZE), mode="bilinear", align_corners=False)[0, 0]
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            adam.zero_grad()
            (-model((image * mask)[None])[0, 1]).backward()
            adam.step()
        expected = (u.detach().softmax(0)[:, None, None] * maps).sum(0)
        torch.testing.assert_close(values, expected, rtol=1e-2, atol=1e-4)


def test_opticam_of_an_image_does_not_depend_on_its_batch():
    """The second image is almost of one colour, so that Adam's steps are mostly of rounding."""
    model, images = convolutional(), pictures(3)
    images[1] = 0.5 + 1e-6 * images[1]
    explainer = Explainer(model, layer="1", utility="logit")
    together = explainer.explain(images, "opticam", target=1)
    for index in range(3):
        alone = explainer.explain(images[index : index + 1], "opticam", target=1)
        torch.testing.assert_close(together.values[index], alone.values[0], rtol=1e-5, atol=1e-7)


def test_opticam_raises_the_score_of_the_masked_image():
    model, images = convolutional(), pictures(2)
    explainer = Explainer(model, layer="1", utility="logit")
    game = explainer.game(images, target=1)
    scores = []
    for method in ("scorecam", "opticam"):
        heatmaps = explainer.explain(images, method, target=1).heatmap
        scores.append(game.score_images(images * heatmaps[:, None], torch.arange(2)))
    assert bool((scores[1] > scores[0]).all())


def test_opticam_takes_a_pass_with_its_gradient_a_step():
    explainer, steps = Explainer(convolutional(), layer="1"), []
    explainer.explain(pictures(2), "opticam", progress=lambda count, _: steps.append(count))
    assert steps == list(range(1, 25))
    cost = METHODS["opticam"].basis.cost_of(49)
    assert cost.model_passes == cost.head_gradients == optimised_masks.STEPS


def test_the_heatmap_is_that_of_the_values():
    e = Explainer(convolutional(), layer="1").explain(pictures(1), "scorecam")
    torch.testing.assert_close(e.heatmap, heatmap(e.values, (SIZE, SIZE)))
