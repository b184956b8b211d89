"""One patch decides the class: in every layout the map's maximum must lie on it, and its share must be its own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.planted_networks import STRIDE, Plan, Planted, image_of
from shapleycam import Explainer, Explanation, values
from shapleycam.errors import BlankHeatmapWarning, LayerError, LayoutWarning, ShapleyCamError

FLAT = [
    Plan("NCHW", (5, 5)),
    Plan("NCHW", (3, 7)),
    Plan("NCHW", (8, 1)),
    Plan("NCHW", (5, 7), ragged=3),
    Plan("NHWC", (5, 5)),
    Plan("NHWC", (7, 2)),
    Plan("tokens", (5, 5)),
    Plan("tokens", (3, 7)),
    Plan("tokens", (6, 1)),
    *(Plan("tokens", (4, 6), prefix) for prefix in (1, 2, 5, 16)),
]
DEEP = [Plan("NCDHW", (2, 4, 6)), Plan("NDHWC", (3, 4, 4)), Plan("NCDHW", (4, 3, 5))]
METHODS = ["gradcam", "hirescam", "shapleycam", "pathcam-h", "sampledshapley"]


def layer_of(plan: Plan) -> dict[str, str]:
    """These networks have no weights, by which channels and depth could be told apart."""
    return {"layer": "cells", **({"images": "volume"} if len(plan.grid) == 3 else {})}


def brightest_position(heat: torch.Tensor) -> tuple[int, ...]:
    return tuple(int(i) for i in torch.unravel_index(heat.argmax(), heat.shape))


@pytest.mark.parametrize("corner", ["first", "last", "middle"])
@pytest.mark.parametrize("plan", [*FLAT, *DEEP], ids=str)
def test_the_maximum_is_on_the_planted_patch(plan, corner):
    cell = {
        "first": tuple(0 for _ in plan.grid),
        "last": tuple(side - 1 for side in plan.grid),
        "middle": tuple(side // 2 for side in plan.grid),
    }[corner]
    image = image_of(plan, cell)
    explanations = Explainer(Planted(plan), **layer_of(plan)).compare(image, METHODS, target=0, utility="logit")
    for name, e in explanations.items():
        assert brightest_position(e.values[0]) == cell, name
        assert e.values.shape == (1, *plan.grid)
        assert e.heatmap.shape == (1, *plan.image)
    *deep, y, x = brightest_position(explanations["hirescam"].heatmap[0])
    assert tuple(deep) == cell[:-2]
    if not plan.ragged:
        assert (y // STRIDE, x // STRIDE) == cell[-2:]


@pytest.mark.parametrize("plan", [*FLAT, *DEEP], ids=str)
def test_the_layout_is_found_without_a_word(plan):
    explainer = Explainer(Planted(plan), **layer_of(plan))
    layout = explainer.game(image_of(plan, tuple(0 for _ in plan.grid)), target=0, utility="logit").layout
    assert (layout.kind, layout.grid, layout.prefix) == (plan.kind, plan.grid, plan.prefix)


@pytest.mark.parametrize("plan", [plan for plan in FLAT if plan.prefix], ids=str)
def test_what_the_prefix_tokens_earned_makes_the_sum_whole(plan):
    """v(N) = s + s²/10 for the sum s of all channels 0, prefix tokens with 1 each; the path of a quadratic is exact."""
    image = image_of(plan, (1, 2))
    explainer = Explainer(Planted(plan), layer="cells")
    s = float(image[0, 0].unflatten(-2, (-1, STRIDE)).unflatten(-1, (-1, STRIDE)).mean((-3, -1)).sum()) + plan.prefix
    explanations = explainer.compare(image, ["pathcam-h", "sampledshapley", "shapleycam-h"], target=0, utility="logit")
    for e in explanations.values():
        assert float(e.values.sum() + e.prefix) == pytest.approx(s + 0.1 * s**2, rel=1e-4)
        assert float(e.prefix) == pytest.approx(plan.prefix + 0.1 * plan.prefix * s, rel=1e-3)  # a_j + a_j s / 10


def test_videos_have_time_before_the_channels():
    plan = Plan("NCDHW", (6, 4, 4))
    e = Explainer(Planted(plan, videos=True), layer="cells", images="video").explain(
        image_of(plan, (4, 1, 2), videos=True), "hirescam", target=0, utility="logit"
    )
    assert e.images.shape == (1, 6, 3, 16, 16)
    assert brightest_position(e.values[0]) == (4, 1, 2)
    assert e.heatmap.shape == (1, 6, 16, 16)


@pytest.mark.parametrize("videos", [False, True])
def test_of_a_volume_the_frame_with_most_heat_is_drawn_or_the_one_asked_for(videos, tmp_path):
    plan = Plan("NCDHW", (6, 4, 4))
    image = image_of(plan, (4, 1, 2), videos=videos)
    kind = "video" if videos else "volume"
    e = Explainer(Planted(plan, videos=videos), layer="cells", images=kind).explain(
        image, "hirescam", target=0, utility="logit"
    )
    assert torch.equal(e.picture(), e.picture(frame=4))
    assert not torch.equal(e.picture(), e.picture(frame=0))
    assert e.picture()[STRIDE, 2 * STRIDE, 0] == 255  # the planted patch is red
    assert e.overlay().tobytes() == e.overlay(frame=4).tobytes() != e.overlay(frame=0).tobytes()
    assert e.overlay(kind="values").size == (16, 16)
    loaded = Explanation.load(e.save(tmp_path / "volume.npz"))
    assert torch.equal(loaded.values, e.values)
    with pytest.raises(IndexError):
        e.overlay(frame=6)


def test_tokens_of_a_volume_are_told_by_layout():
    plan = Plan("tokens", (2, 4, 6))
    image = image_of(plan, (1, 2, 5))
    explainer = Explainer(Planted(plan), layer="cells", layout="tokens 2x4x6", images="volume")
    e = explainer.explain(image, "hirescam", target=0, utility="logit")
    assert brightest_position(e.values[0]) == (1, 2, 5)
    game = explainer.game(image, target=0, utility="logit")
    assert game.n_players == 48
    regions = explainer.game(image, target=0, utility="logit", players=(2, 2, 2))
    assert regions.n_players == 8
    shares = values.exact(regions).values
    assert int(shares.argmax()) == 7  # the last depth, lower half, right half
    assert regions.players.centre(7) == (1.5, 3.0, 4.5)


def test_a_layout_that_the_tokens_do_not_fit_is_refused_with_what_to_write():
    plan = Plan("tokens", (4, 6))
    with pytest.raises(LayerError, match=r"returns shape \(1, 24, 3\), which is not 'tokens 5 x 5'; write 'NCHW'"):
        Explainer(Planted(plan), layer="cells", layout="tokens 5x5").explain(image_of(plan, (0, 0)))


def test_tokens_whose_number_several_grids_have_are_the_one_that_they_are():
    """Eight frames of 4 x 4 patches are 128 tokens, as 2 x 8 x 8 are."""
    plan = Plan("tokens", (8, 4, 4))
    image = image_of(plan, (5, 1, 2))
    e = Explainer(Planted(plan), **layer_of(plan)).explain(image, "hirescam", target=0, utility="logit")
    assert brightest_position(e.values[0]) == (5, 1, 2)


# Layers of real kinds, found by running the model


class Brightness(nn.Module):
    """Class 0 is how bright the patches are, by a layer of weights that are all alike; `form` is how they are kept."""

    def __init__(self, patch: tuple[int, ...], form: str = "first", channels: int = 3, prefix: int = 0):
        super().__init__()
        kind = nn.Conv3d if len(patch) == 3 else nn.Conv2d
        self.patches = kind(channels, 4, patch, stride=patch, bias=False)
        nn.init.constant_(self.patches.weight, 1 / self.patches.weight[0].numel())
        self.mix, self.form, self.prefix = nn.Linear(4, 4, bias=False), form, prefix
        self.mix.weight.data = torch.tensor([[0.2], [0.4], [0.9], [1.6]]).expand(4, 4)

    def forward(self, x):
        a = self.patches(x)
        if self.form != "first":
            a = a.movedim(1, -1) if self.form == "last" else a.flatten(2).transpose(1, 2)
            a = self.mix(torch.cat([torch.ones(len(a), self.prefix, 4), a], 1) if self.prefix else a)
        score = a.square().sum(tuple(range(1, a.dim())))
        return torch.stack([score, torch.zeros_like(score)], 1)


FOUND = {
    "a map": (Brightness((4, 4)), (24, 32), (3, 5)),
    "channels last": (Brightness((4, 4), "last"), (24, 32), (3, 5)),
    "tokens": (Brightness((4, 4), "tokens"), (24, 32), (3, 5)),
    "tokens after 5": (Brightness((4, 4), "tokens", prefix=5), (24, 32), (0, 7)),
    "a map of sides that patches do not divide": (Brightness((4, 4)), (27, 35), (5, 7)),
    "tokens of sides that patches do not divide": (Brightness((4, 4), "tokens"), (27, 35), (5, 7)),
    "a column of pixels": (Brightness((4, 1)), (32, 1), (5, 0)),
    "a column of pixels, channels last": (Brightness((4, 1), "last"), (32, 1), (7, 0)),
    "a row of pixels": (Brightness((1, 4)), (1, 32), (0, 6)),
    "a volume": (Brightness((2, 4, 4)), (8, 12, 16), (3, 1, 2)),
    "a volume of one channel, channels last": (Brightness((2, 4, 4), "last", 1), (8, 12, 16), (0, 2, 3)),
}


def plant_bright_cell(model: Brightness, image: tuple[int, ...], cell: tuple[int, ...]) -> torch.Tensor:
    dark = torch.rand(1, model.patches.in_channels, *image, generator=torch.Generator().manual_seed(4)) * 0.1
    sides = zip(cell, model.patches.kernel_size, strict=True)
    dark[(..., *(slice(at * side, (at + 1) * side) for at, side in sides))] = 1
    return dark


@pytest.mark.parametrize("name", FOUND)
def test_without_a_word_about_the_layer_the_maximum_is_on_the_planted_patch(name):
    model, image, cell = FOUND[name]
    explainer, x = Explainer(model, utility="logit"), plant_bright_cell(model, image, cell)
    for method, e in explainer.compare(x, [*METHODS, "pathcam"], target=0).items():
        assert brightest_position(e.values[0]) == cell, method
        assert e.layer == ("patches" if model.form == "first" else "mix")
        at = brightest_position(e.heatmap[0])
        assert e.heatmap.shape == (1, *image)
        # in the middle of the cell, as cells are spread evenly over the image
        grid = e.values.shape[1:]
        assert tuple(int(i * n / side) for i, n, side in zip(at, grid, image, strict=True)) == cell, method


def test_tokens_of_a_column_of_pixels_are_found_too():
    """Eight tokens of 32 x 1 pixels are strips of four, not seven of five with a rest and a class token."""
    model = Brightness((4, 1), "tokens")
    e = Explainer(model, layer="mix", utility="logit").explain(
        plant_bright_cell(model, (32, 1), (5, 0)), "hirescam", target=0
    )
    assert brightest_position(e.values[0]) == (5, 0)


class Clip(nn.Module):
    """Videos (b, t, c, h, w), two frames to a cell."""

    def __init__(self):
        super().__init__()
        self.net = Brightness((2, 4, 4))

    def forward(self, x):
        return self.net(x.transpose(1, 2))


@pytest.mark.parametrize("frames", [2, 4, 6])
def test_a_video_of_few_frames_has_a_map_of_each(frames):
    model = Clip()
    cell = (frames // 2 - 1, 1, 2)
    video = plant_bright_cell(model.net, (frames, 12, 16), cell).transpose(1, 2).contiguous()
    e = Explainer(model, utility="logit").explain(video, "gradcam", target=0)
    assert brightest_position(e.values[0]) == cell
    assert e.heatmap.shape == (1, frames, 12, 16)


def test_a_volume_of_many_channels_is_a_volume():
    model = Brightness((2, 4, 4), channels=8)
    e = Explainer(model, utility="logit").explain(plant_bright_cell(model, (6, 12, 16), (2, 1, 2)), "gradcam", target=0)
    assert brightest_position(e.values[0]) == (2, 1, 2)
    assert e.heatmap.shape == (1, 6, 12, 16)


# Kept in files


@pytest.mark.parametrize("kind", ["heatmap", "values", "uncertain"])
@pytest.mark.parametrize("videos", [False, True])
def test_a_saved_volume_is_drawn_as_it_was(kind, videos, tmp_path):
    plan = Plan("NCDHW", (6, 4, 4))
    video = "video" if videos else "volume"
    explainer = Explainer(Planted(plan, videos=videos), layer="cells", utility="logit", images=video)
    e = explainer.explain(image_of(plan, (4, 1, 2), videos=videos), "sampledshapley", target=0)
    loaded = Explanation.load(e.save(tmp_path / "volume.npz"))
    for name in ("heatmap", "values", "stderr", "target", "output", "utility"):
        assert torch.equal(getattr(loaded, name), getattr(e, name)), name
    assert torch.equal(loaded.picture(), e.picture())
    assert loaded.overlay(kind=kind).tobytes() == e.overlay(kind=kind).tobytes()


# Several layers


class Projected(nn.Module):
    """A volume, and its mean over the depth."""

    def __init__(self):
        super().__init__()
        self.deep = nn.Conv3d(3, 1, (2, 4, 4), stride=(2, 4, 4), bias=False)
        self.flat = nn.Conv2d(1, 1, 1, bias=False)
        for layer in (self.deep, self.flat):
            nn.init.constant_(layer.weight, 1.0)

    def forward(self, x):
        score = self.flat(self.deep(x).mean(2)).square().sum((1, 2, 3))
        return torch.stack([score, torch.zeros_like(score)], 1)


def test_layers_with_and_without_depth_are_refused_in_words():
    explainer = Explainer(Projected(), layer=["deep", "flat"], utility="logit")
    with pytest.raises(ShapleyCamError, match=r"'?deep'?.*'?flat'?"):
        explainer.explain(torch.rand(1, 3, 4, 8, 12), "hirescam", target=0)


class Mirrored(nn.Module):
    """The second layer is the mirror image of the first."""

    class Mirror(nn.Module):
        def forward(self, x):
            return x.flip(-1)

    def __init__(self):
        super().__init__()
        self.features, self.mirror = nn.MaxPool2d(1), self.Mirror()

    def forward(self, x):
        score = self.mirror(self.features(x)).sum((1, 2, 3))
        return torch.stack([score, torch.zeros_like(score)], 1)


def test_a_product_of_layers_that_have_no_place_in_common_is_said_to_be_blank():
    image = torch.zeros(1, 1, 4, 6)
    image[..., 1, 0] = 1
    explainer = Explainer(Mirrored(), layer=["features", "mirror"], fuse="product", layout="NCHW", utility="logit")
    with pytest.warns(LayoutWarning, match="columns do not"), pytest.warns(BlankHeatmapWarning, match="blank"):
        e = explainer.explain(image, "hirescam", target=0)
    assert not e.heatmap.any()
