"""One patch decides the class: in every layout the map's maximum must lie on it, and its share must be its own."""

from __future__ import annotations

import pytest
import torch

from planted import STRIDE, Plan, Planted, image_of
from shapleycam import Explainer, Explanation, values
from shapleycam.errors import LayerError

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
    """Of a grid of few cells and three channels both readings of a shape are often possible."""
    told = plan.kind in {"NHWC", "NDHWC"} or plan.ragged
    return {"layer": "cells", **({"layout": plan.kind} if told else {})}


def brightest(heat: torch.Tensor) -> tuple[int, ...]:
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
    found = Explainer(Planted(plan), **layer_of(plan)).compare(image, METHODS, target=0, utility="logit")
    for name, e in found.items():
        assert brightest(e.values[0]) == cell, name
        assert e.values.shape == (1, *plan.grid)
        assert e.heatmap.shape == (1, *plan.image)
    *deep, y, x = brightest(found["hirescam"].heatmap[0])
    assert tuple(deep) == cell[:-2]
    if not plan.ragged:
        assert (y // STRIDE, x // STRIDE) == cell[-2:]


@pytest.mark.parametrize("plan", [plan for plan in FLAT if "layout" not in layer_of(plan)], ids=str)
def test_the_layout_is_found_without_a_word(plan):
    explainer = Explainer(Planted(plan), layer="cells")
    layout = explainer.game(image_of(plan, tuple(0 for _ in plan.grid)), target=0, utility="logit").layout
    assert (layout.kind, layout.grid, layout.prefix) == (plan.kind, plan.grid, plan.prefix)


@pytest.mark.parametrize("plan", [plan for plan in FLAT if plan.prefix], ids=str)
def test_what_the_prefix_tokens_earned_makes_the_sum_whole(plan):
    """v(N) = s + s²/10 for the sum s of all channels 0, prefix tokens with 1 each; the path of a quadratic is exact."""
    image = image_of(plan, (1, 2))
    explainer = Explainer(Planted(plan), layer="cells")
    s = float(image[0, 0].unflatten(-2, (-1, STRIDE)).unflatten(-1, (-1, STRIDE)).mean((-3, -1)).sum()) + plan.prefix
    found = explainer.compare(image, ["pathcam-h", "sampledshapley", "shapleycam-h"], target=0, utility="logit")
    for e in found.values():
        assert float(e.values.sum() + e.prefix) == pytest.approx(s + 0.1 * s**2, rel=1e-4)
        assert float(e.prefix) == pytest.approx(plan.prefix + 0.1 * plan.prefix * s, rel=1e-3)  # a_j + a_j s / 10


def test_videos_have_time_before_the_channels():
    plan = Plan("NCDHW", (6, 4, 4))
    e = Explainer(Planted(plan, videos=True), layer="cells").explain(
        image_of(plan, (4, 1, 2), videos=True), "hirescam", target=0, utility="logit"
    )
    assert e.images.shape == (1, 6, 3, 16, 16)
    assert brightest(e.values[0]) == (4, 1, 2)
    assert e.heatmap.shape == (1, 6, 16, 16)


@pytest.mark.parametrize("videos", [False, True])
def test_of_a_volume_the_frame_with_most_heat_is_drawn_or_the_one_asked_for(videos, tmp_path):
    plan = Plan("NCDHW", (6, 4, 4))
    image = image_of(plan, (4, 1, 2), videos=videos)
    e = Explainer(Planted(plan, videos=videos), layer="cells").explain(image, "hirescam", target=0, utility="logit")
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
    explainer = Explainer(Planted(plan), layer="cells", layout="tokens 2x4x6")
    e = explainer.explain(image, "hirescam", target=0, utility="logit")
    assert brightest(e.values[0]) == (1, 2, 5)
    game = explainer.game(image, target=0, utility="logit")
    assert game.n_players == 48
    regions = explainer.game(image, target=0, utility="logit", players=(2, 2, 2))
    assert regions.n_players == 8
    shares = values.exact(regions).values
    assert int(shares.argmax()) == 7  # the last depth, lower half, right half
    assert regions.players.centre(7) == (1.5, 3.0, 4.5)


def test_tokens_that_could_be_several_grids_are_refused_with_what_to_write():
    plan = Plan("tokens", (4, 6))
    with pytest.raises(LayerError, match=r"returns shape \(1, 24, 3\), which is not 'tokens 5 x 5'; write 'NCHW'"):
        Explainer(Planted(plan), layer="cells", layout="tokens 5x5").explain(image_of(plan, (0, 0)))
    deep = Plan("tokens", (8, 4, 4))
    with pytest.raises(
        LayerError, match=r"layer 'cells': 128 tokens of an image of 8 x 16 x 16 could be .*'tokens 8 x 4"
    ):
        Explainer(Planted(deep), layer="cells").explain(image_of(deep, (0, 0, 0)))
