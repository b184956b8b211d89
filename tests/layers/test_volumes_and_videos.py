"""Of images of five dimensions: which axis is channels, by the model's first weight or by what the caller says."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shapleycam import Explainer, Explanation
from shapleycam.errors import ImageError, OptionError
from shapleycam.layers import channel_axis


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


class Sums(nn.Module):
    """A smooth score of what a convolution with positive weights sees; `frames_first` are videos (b, t, c, h, w)."""

    def __init__(self, channels: int, depth: int = 1, *, frames_first: bool = False):
        super().__init__()
        self.conv = nn.Conv3d(channels, 4, (depth, 4, 4), (depth, 4, 4), bias=False)
        nn.init.constant_(self.conv.weight, 0.1)
        self.frames_first = frames_first

    def forward(self, x):
        score = self.conv(x.transpose(1, 2) if self.frames_first else x).square().sum((1, 2, 3, 4))
        return torch.stack([score, torch.zeros_like(score)], 1)


class EachFrame(nn.Module):
    """A network of images run on each frame of a video, then three dimensions again."""

    def __init__(self, channels: int):
        super().__init__()
        torch.manual_seed(0)
        self.net, self.over_time = nn.Conv2d(channels, 4, 4, 4), nn.Conv3d(4, 4, 1)

    def forward(self, x):
        frames = self.net(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return self.over_time(frames.transpose(1, 2)).mean((2, 3, 4))


class Tubelets(nn.Module):
    """Patches of a video cut by reshaping, as tokens, by a linear layer."""

    def __init__(self, channels: int):
        super().__init__()
        torch.manual_seed(0)
        self.project, self.norm, self.fc = nn.Linear(channels * 2 * 16, 8), nn.LayerNorm(8), nn.Linear(8, 2)

    def forward(self, x):
        x = x.unflatten(1, (-1, 2)).unflatten(4, (-1, 4)).unflatten(6, (-1, 4))  # b t 2 c h 4 w 4
        x = x.permute(0, 1, 4, 6, 2, 3, 5, 7).flatten(4).flatten(1, 3)
        return self.fc(self.norm(self.project(x))).mean(1)


CASES = {
    "a volume of 4 modalities and 3 slices": (Sums(4), (4, 3, 16, 16), 1),
    "a volume of 2 channels and 1 slice": (Sums(2), (2, 1, 16, 16), 1),
    "a grey volume": (Sums(1), (1, 3, 16, 16), 1),
    "a grey volume that one kernel spans": (Sums(1, 6), (1, 6, 16, 16), 1),
    "a video of 3 frames of 4 channels": (Sums(4, frames_first=True), (3, 4, 16, 16), 2),
    "a video of one frame": (Sums(3, frames_first=True), (1, 3, 16, 16), 2),
    "a grey video of 3 frames": (Sums(1, frames_first=True), (3, 1, 16, 16), 2),
    "a video whose frames are one batch": (EachFrame(4), (3, 4, 16, 16), 2),
    "a video of 3 frames of 3 colours": (EachFrame(3), (3, 3, 16, 16), 2),
    "a video cut into tubelets": (Tubelets(5), (4, 5, 16, 16), 2),
}


@pytest.mark.parametrize("name", CASES)
def test_the_first_weight_sums_over_the_channels(name):
    model, shape, axis = CASES[name]
    image = noise(1, *shape)
    assert channel_axis(model.eval(), image) == axis
    e = Explainer(model).explain(image, "hirescam", target=0, utility="logit")
    depth = shape[axis % 2]
    assert e.heatmap.shape == (1, depth, 16, 16)
    assert e.picture(frame=depth - 1).shape == (16, 16, 3)


@pytest.mark.parametrize("frames_first", [False, True])
def test_the_brightest_place_has_the_most_heat(frames_first):
    """Four channels and three slices, the planted patch in the second."""
    image = noise(1, 4, 3, 16, 16) * 0.01
    image[:, :, 1, 4:8, 8:12] = 1
    image = image.transpose(1, 2).contiguous() if frames_first else image
    e = Explainer(Sums(4, frames_first=frames_first)).explain(image, "hirescam", target=0, utility="logit")
    assert int(e.values[0].argmax()) == 1 * 16 + 1 * 4 + 2
    bright = torch.as_tensor(e.picture()).float().mean(2) > 200
    assert bright.nonzero().tolist() == [[row, column] for row in range(4, 8) for column in range(8, 12)]


class Folded(nn.Module):
    """Frames as more channels: nothing tells which is which."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(12, 4, 4, 4)

    def forward(self, x):
        return self.conv(x.flatten(1, 2)).square().mean((2, 3))


class Unweighted(nn.Module):
    def forward(self, x):
        return x.square().mean((2, 3, 4))


@pytest.mark.parametrize(
    ("model", "reason"), [(Folded(), "it sums over both axes"), (Unweighted(), "no weight of it reads them")]
)
def test_where_no_weight_tells_the_caller_is_asked(model, reason):
    with pytest.raises(ImageError) as refused:
        channel_axis(model, noise(1, 4, 3, 16, 16))
    assert str(refused.value) == (
        "images of shape (1, 4, 3, 16, 16) could be volumes (b, c, d, h, w) or videos (b, t, c, h, w), and the model's "
        f"first weight does not tell ({reason}); say which with images='volume' or images='video'"
    )


@pytest.mark.parametrize(("images", "axis"), [("volume", 1), ("video", 2)])
def test_what_the_caller_says_is_taken(images, axis, tmp_path):
    e = Explainer(Folded(), images=images).explain(noise(1, 4, 3, 16, 16), "gradcam", target=0, utility="logit")
    assert e.channels == axis
    assert e.heatmap.shape == (1, 16, 16)  # of a layer without depth
    frames = (4, 3)[axis - 1 == 0]
    assert Explanation.load(e.save(tmp_path / "e.npz")).images.shape == (1, 3, frames, 16, 16)


def test_a_word_that_is_not_known_or_does_not_fit_is_refused():
    with pytest.raises(OptionError, match="images='clip'; expected 'volume', 'video' or None"):
        Explainer(Folded(), images="clip")
    with pytest.raises(ImageError, match=r"images='video', and images of shape \(1, 12, 16, 16\); expected five dim"):
        Explainer(nn.Conv2d(12, 3, 1), images="video").explain(noise(1, 12, 16, 16))
