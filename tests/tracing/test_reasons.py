"""Why a model is refused: its own error, what holds it, or what runs several times, each in one line."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.user_models import Small, pictures, values
from shapleycam import Explainer
from shapleycam.errors import LayerError, ModelError, OptionError, ShapleyCamError

PREPROCESS = "expected images that it can take: check preprocess= and their size and channels"
OWN = "expected a model that runs on them: its own error is the cause of this one"


def raising_model(error, when):
    class Raising(Small):
        def see(self, values):
            if when(values):
                raise error
            return values

    return Raising()


@pytest.mark.parametrize(("error", "remedy"), [
    (KeyError("mask"), OWN),
    (NotImplementedError("later"), OWN),
    (AttributeError("first line\nsecond line"), OWN),
    (ZeroDivisionError(), OWN),
    (RuntimeError("CUDA error: device-side assert triggered"), OWN),
    (RuntimeError("view size is not compatible with input tensor's size and stride"), OWN),
    (RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x8 and 7x4)"), PREPROCESS),
    (RuntimeError("expected input[1, 1, 8, 8] to have 3 channels, but got 1 channels instead"), PREPROCESS),
    (AssertionError("Input height (16) doesn't match model (224)."), PREPROCESS),
    (ValueError("Make sure that the channel dimension of the pixel values match"), PREPROCESS),
    (TypeError("forward() missing 1 required positional argument: 'ids'"), "give its further arguments by inputs="),
])  # fmt: skip
@pytest.mark.parametrize("layer", [None, "body"])
def test_what_a_model_raises_is_its_error_with_the_cause(error, remedy, layer):
    for method in ("gradcam", "sampledshapley"):
        with pytest.raises(ModelError, match=type(error).__name__) as raised:
            values(raising_model(error, lambda values: True), method, layer)
        assert remedy in str(raised.value)
        assert "\n" not in str(raised.value)
        assert raised.value.__cause__ is error


@pytest.mark.parametrize("method", ["pathcam-h", "sampledshapley"])
def test_an_error_of_a_replay_does_not_blame_the_images(method):
    error = ValueError("sizes of more than two images")
    model = raising_model(error, lambda values: len(values) > 2)
    with pytest.raises(
        ModelError, match=r"when what comes after layer 'body' was run on 3 activations; expected"
    ) as raised:
        values(model, method)
    assert raised.value.__cause__ is error
    assert "preprocess" not in str(raised.value)


class Holder(nn.Module):
    """A module of a library that trains, predicts and exports the network inside."""

    def __init__(self):
        super().__init__()
        self.model = Small()


class Front(Holder):
    def __call__(self, source):
        raise AssertionError("a prediction was started")


class Trainer(Holder):
    def forward(self, x):
        raise NotImplementedError


class Learner:
    """No module: fastai's Learner, a pipeline of transformers."""

    def __init__(self):
        self.model = Small()


@pytest.mark.parametrize("kind", [Holder, Front, Trainer, Learner])
def test_what_holds_a_network_is_refused_with_its_name(kind):
    with pytest.raises(ShapleyCamError, match=r"holds the network in \.model|which it holds in \.model") as raised:
        values(kind(), "gradcam", None)
    assert "give its .model" in str(raised.value)
    assert values(kind().model, "gradcam").shape == (2, 8, 8)


@pytest.mark.parametrize("container", [nn.ModuleList([Small()]), nn.ModuleDict({"a": Small()}), nn.ParameterList()])
def test_containers_are_no_models(container):
    text = f"model is a {type(container).__name__}, which has no forward of its own; expected a module that maps images"
    with pytest.raises(ModelError, match=text):
        values(container, "gradcam", None)


def test_other_objects_are_no_models():
    with pytest.raises(OptionError, match=r"model is a dict; expected a name, a Network or a torch.nn.Module$"):
        values({}, "gradcam", None)


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.tower = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 6, 3))
        self.fc = nn.Linear(12, 3)

    def forward(self, x):
        return self.fc(torch.cat([self.tower(x).mean((2, 3)), self.tower(x.flip(-1)).mean((2, 3))], 1))


class EachFrame(Siamese):
    def forward(self, x):
        return self.fc(
            torch.stack([self.tower(x[..., i : i + 8]).mean((2, 3)) for i in (0, 4, 8)], 1).mean(1).repeat(1, 2)
        )


@pytest.mark.parametrize(("kind", "times"), [(Siamese, 2), (EachFrame, 3)])
def test_shared_towers_are_refused_because_they_run_several_times(kind, times):
    for layer in (None, "last-conv", "tower", "tower.2"):
        with pytest.raises(LayerError, match=rf"layer 'tower(\.2)?' runs {times} times in a forward pass"):
            values(kind(), "gradcam", layer)


class ByChunks(Siamese):
    """Takes `size` images at a time, as code does that saves memory."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return torch.cat([self.fc(self.tower(part).mean((2, 3)).repeat(1, 2)) for part in x.split(self.size)])


@pytest.mark.parametrize(("size", "runs", "rows"), [(1, 2, 2), (2, 2, 3), (5, 2, r"\d+")])
def test_a_model_that_takes_its_images_in_chunks_has_no_game_at_a_layer(size, runs, rows):
    """A replay would give each chunk the activations of all coalitions."""
    text = rf"layer 'tower' runs {runs} times for a batch of {rows}, .*a loop over images or chunks of them"
    with pytest.raises(LayerError, match=text):
        Explainer(ByChunks(size), layer="tower").explain(pictures(1), "exactshapley", target=0, players=(2, 3))


def test_a_model_that_takes_its_images_in_chunks_is_explained_at_the_input_and_one_by_one():
    chunked, whole = ByChunks(1), ByChunks(8)
    with pytest.raises(LayerError, match="layer 'tower' runs 3 times for a batch of 3"):
        values(chunked, "hirescam", "tower", images=pictures(3))
    for layer, method, images in (("tower", "hirescam", 1), ("input", "hirescam", 3), ("input", "pathcam-h", 2)):
        by_chunks, together = (values(model, method, layer, images=pictures(images)) for model in (chunked, whole))
        torch.testing.assert_close(by_chunks, together)


def test_frames_folded_into_the_batch_are_refused_with_their_rows():
    class Folded(Siamese):
        def forward(self, x):
            frames = torch.cat([x, x.flip(-1)])
            return self.fc(torch.cat(self.tower(frames).mean((2, 3)).chunk(2), 1))

    for layer in (None, "last-conv"):
        with pytest.raises(LayerError, match="layer 'tower' returns 2 rows for 1 image"):
            values(Folded(), "gradcam", layer, pictures(1))
