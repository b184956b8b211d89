"""What modules return, taken apart and put together again; and heads behind modules that return their own objects."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from shapleycam import Explainer
from shapleycam.tracing.nested import float_tensors_of, have_same_structure, map_tensors, only_tensor, tensors_of

modeling_outputs = pytest.importorskip("transformers.modeling_outputs")

Pair = namedtuple("Pair", ["first", "second"])  # noqa: PYI024  # a plain one, as in users' code
A, B, C = torch.tensor([1.0]), torch.tensor([2.0, 3.0]), torch.tensor([4])


@dataclass
class Sized:
    """Images and their sizes, as torchvision's ImageList: neither a tensor nor a container."""

    tensors: torch.Tensor
    sizes: list[tuple[int, int]]


NESTED = {
    "a tensor": (A, [A]),
    "a tuple": ((A, B), [A, B]),
    "a list in a tuple": (([A, B], C), [A, B, C]),
    "a dict": ({"b": B, "a": A}, [B, A]),  # in the dict's order
    "an ordered dict": (OrderedDict(z=A, y=[C]), [A, C]),
    "a default dict": (defaultdict(list, {"x": [A, B]}), [A, B]),
    "a named tuple": (Pair(B, {"x": A}), [B, A]),
    "what torch.max returns": (torch.max(torch.tensor([[2.0]]), 1), [torch.tensor([2.0]), torch.tensor([0])]),
    "transformers' output": (modeling_outputs.BaseModelOutput(last_hidden_state=A, hidden_states=(B, C)), [A, B, C]),
    "with other things in it": ((A, None, 3, "text", torch.Size([2, 3]), {"n": 1.5}), [A]),
    "no tensor": ({"n": None}, []),
    "an object": (Sized(A, [(1, 1)]), []),
}


@pytest.mark.parametrize("name", NESTED)
def test_tensors_are_found_in_the_order_of_their_containers(name):
    value, expected = NESTED[name]
    actual = tensors_of(value, objects=0)
    assert len(actual) == len(expected)
    assert all(torch.equal(first, second) for first, second in zip(actual, expected, strict=True))


def test_tensors_are_found_in_objects_too_where_they_may_be_anywhere():
    circle = SimpleNamespace(a=A, rest=[Sized(B, [(1, 1)])])
    circle.itself = circle
    actual = tensors_of({"x": (circle, C)})
    assert actual[0] is A
    assert actual[1] is B
    assert actual[-1] is C
    assert tensors_of((nn.Linear(2, 2), nn.Linear, len, "text", None)) == []
    assert only_tensor(Sized(A, [])) is None  # a layer that returns an object has no one activation


@pytest.mark.parametrize("name", NESTED)
def test_mapped_values_have_the_same_form_and_changed_tensors(name):
    value, expected = NESTED[name]
    seen = []

    def change(tensor: torch.Tensor) -> torch.Tensor:
        seen.append(tensor)
        return tensor + 10

    changed = map_tensors(change, value)
    assert type(changed) is type(value)
    assert all(torch.equal(first, second) for first, second in zip(seen, expected, strict=True))
    assert all(
        torch.equal(first, second + 10) for first, second in zip(tensors_of(changed, objects=0), expected, strict=True)
    )
    assert have_same_structure(changed, value) == (name != "an object")
    assert len(seen) == len(expected)


def test_mapping_leaves_the_original_and_what_is_no_tensor_alone():
    value = {"a": A, "rest": (None, 3, "text", torch.Size([2, 3]))}
    changed = map_tensors(torch.zeros_like, value)
    assert value["a"] is A
    assert changed["rest"] == (None, 3, "text", torch.Size([2, 3]))
    assert isinstance(changed["rest"][3], torch.Size)


def test_the_attributes_of_a_mapped_model_output_are_the_mapped_ones():
    changed = map_tensors(lambda t: t * 2, modeling_outputs.ImageClassifierOutput(logits=B, hidden_states=(A,)))
    assert changed.logits.tolist() == [4, 6]
    assert changed["hidden_states"][0].tolist() == [2]
    assert changed.loss is None


def test_numbers_are_the_floating_point_tensors():
    assert [tensor is A for tensor in float_tensors_of((C, A, torch.tensor([True])))] == [True]


@pytest.mark.parametrize(
    ("value", "expected"), [(A, A), ((A,), A), ({"x": [A, None]}, A), ((A, B), None), (None, None), ("text", None)]
)
def test_the_only_tensor_is_the_one_that_is_alone(value, expected):
    assert only_tensor(value) is expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (A, B),  # the numbers and shapes of tensors do not matter
        ([A, {"x": B}], [B, {"x": A}]),
        ((1, "a", None, 2.5, True), (1, "a", None, 2.5, True)),
        (torch.Size([2, 3]), torch.Size([2, 3])),
        ((torch.float32, torch.device("cpu")), (torch.float32, torch.device("cpu"))),
        (Pair(A, 1), Pair(B, 1)),
        ({}, {}),
    ],
)
def test_values_of_the_same_parts_are_alike(first, second):
    assert have_same_structure(first, second)
    assert have_same_structure(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (A, 1.0),
        (A, None),
        ([A], (A,)),
        ([A], [A, A]),
        ({"x": A}, {"y": A}),
        ({"x": A}, OrderedDict(x=A)),
        ((1,), (2,)),
        ((1,), (True,)),
        (torch.Size([1, 3]), torch.Size([2, 3])),
        (Sized(A, []), Sized(A, [])),  # what may be in an object nobody knows
        ([Sized(A, [])], [Sized(A, [])]),
    ],
)
def test_values_of_other_parts_or_with_objects_are_not(first, second):
    assert not have_same_structure(first, second)
    assert not have_same_structure(second, first)


# Heads behind such modules


class Wrap(nn.Module):
    """Puts images into an object with their sizes, scaled by a weight inside."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Conv2d(1, 1, 1, bias=False)

    def forward(self, x):
        return Sized(self.scale(x), [tuple(image.shape[-2:]) for image in x])


class PerImage(nn.Module):
    """One tensor an image, in a list, as detectors work."""

    def forward(self, x):
        return [image * 2 for image in x]


class Stack(nn.Module):
    def forward(self, images):
        return torch.stack(list(images))


class Custom(nn.Module):
    """The layer's cells are each the mean of 2 x 2 pixels; what comes before it is read again after it."""

    def __init__(self, before: str):
        super().__init__()
        torch.manual_seed(0)
        self.before = {"object": Wrap, "list": PerImage, "both": nn.Identity}[before]()
        self.wrap, self.each = (Wrap(), PerImage()) if before == "both" else (None, None)
        self.stack, self.kind = Stack(), before
        self.features = nn.AvgPool2d(2)
        self.fc = nn.Linear(3, 2)
        with torch.no_grad():
            for weight in self.parameters():
                weight.abs_()  # so that no map is blank

    def forward(self, x):
        around = self.before(x)
        if self.kind == "both":
            inner = self.wrap(x)
            around = Sized(self.stack(self.each(inner.tensors)), inner.sizes)
        images = around.tensors if isinstance(around, Sized) else self.stack(around)
        sizes = around.sizes if isinstance(around, Sized) else [tuple(image.shape[-2:]) for image in around]
        a = self.features(images)
        area = torch.tensor([h * w for h, w in sizes], dtype=a.dtype)
        pooled = torch.stack([a.sum((1, 2, 3)), a.square().sum((1, 2, 3)), images.amax((1, 2, 3)) / area], 1)
        return self.fc(pooled)


def head_of(model: Custom, images: torch.Tensor, activation: torch.Tensor) -> torch.Tensor:
    """The same head in one line, of the layer's activation."""
    if model.kind == "list":
        before = 2 * images
    else:
        weight = (model.before if model.kind == "object" else model.wrap).scale.weight
        before = images * weight * (2 if model.kind == "both" else 1)
    pooled = torch.stack(
        [activation.sum((1, 2, 3)), activation.square().sum((1, 2, 3)), before.amax((1, 2, 3)) / before[0].numel()], 1
    )
    return model.fc(pooled)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 1, 4, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("before", ["object", "list", "both"])
def test_coalitions_behind_an_object_are_worth_what_masking_by_hand_gives(before, images):
    model = Custom(before)
    game = Explainer(model, layer="features", utility="logit").game(images, target=1)
    coalitions = torch.rand(20, 6, generator=torch.Generator().manual_seed(1)) < 0.5
    with torch.no_grad():
        empty = head_of(model, images, torch.zeros_like(game.activation))[:, 1]
        masked = [
            head_of(model, images, game.activation * keep.reshape(1, 1, 2, 3))[:, 1] - empty for keep in coalitions
        ]
    assert torch.allclose(game.value(coalitions), torch.stack(masked, 1), atol=1e-5)
    assert torch.allclose(game.full, model(images)[:, 1], atol=1e-6)


@pytest.mark.parametrize("before", ["object", "list", "both"])
def test_the_path_behind_an_object_is_that_of_the_quadratic_by_pencil(before, images):
    """The logit is w·a + m·a² in each cell, beside constants: the path gives each w·a + m·a²."""
    model = Custom(before)
    explainer = Explainer(model, layer="features", utility="logit")
    a = explainer.game(images, target=1).activation[:, 0]
    w, m, _ = model.fc.weight[1].tolist()
    e = explainer.explain(images, "pathcam-h", target=1)
    assert torch.allclose(e.values, w * a + m * a.square(), atol=1e-5)


@pytest.mark.parametrize("before", ["object", "list", "both"])
def test_each_image_of_a_batch_is_explained_as_it_is_alone(before, images):
    explainer = Explainer(Custom(before), layer="features", utility="logit")
    together = explainer.explain(images, "sampledshapley", target=0)
    for index, image in enumerate(images):
        alone = explainer.explain(image[None], "sampledshapley", target=0)
        assert torch.allclose(together.values[index], alone.values[0], atol=1e-4)
