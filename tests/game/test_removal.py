"""What stands in for absent content: the choices, what is refused, and the activations of coalitions."""

from __future__ import annotations

import pytest
import torch

from helpers.masked_games import noise
from shapleycam.errors import OptionError
from shapleycam.game.contents import Contents
from shapleycam.game.removal import ZERO, Removal, resolve_removal
from shapleycam.models.layout import Layout

NCHW, TOKENS = Layout("NCHW", (2, 3)), Layout("tokens", (1, 3), prefix=1)


def replace(choice, activation, layout=NCHW):
    return resolve_removal(choice).replacement(activation, layout, "layer4")


def test_zero_has_nothing_to_put_in():
    assert replace("zero", noise(2, 4, 2, 3)) is None
    assert resolve_removal("Zero") is ZERO


def test_the_mean_is_each_images_own():
    activation = noise(2, 4, 2, 3)
    expected = torch.stack([image.flatten(1).mean(1) for image in activation])[..., None, None].expand_as(activation)
    torch.testing.assert_close(replace("mean", activation), expected)


def test_the_mean_over_cells_leaves_prefix_tokens_as_they_are():
    activation = noise(2, 4, 5)
    replaced = replace("mean", activation, TOKENS)
    assert torch.equal(replaced[:, 0], activation[:, 0])
    torch.testing.assert_close(replaced[:, 2], activation[:, 1:].mean(1))


@pytest.mark.parametrize("layout", [Layout("NHWC", (2, 3)), Layout("NCDHW", (2, 2, 3)), Layout("NDHWC", (2, 2, 3))])
def test_the_mean_knows_where_channels_are(layout):
    grid = layout.grid
    activation = noise(2, 5, *grid) if layout.channels_first else noise(2, *grid, 5)
    places = tuple(range(2, 2 + len(grid))) if layout.channels_first else tuple(range(1, 1 + len(grid)))
    torch.testing.assert_close(
        replace("mean", activation, layout), activation.mean(places, keepdim=True).expand_as(activation)
    )


FORMS = {
    "channels": lambda: torch.arange(4.0),
    "one image's": lambda: noise(4, 2, 3, seed=4),
    "each image's": lambda: noise(2, 4, 2, 3, seed=4),
    "the same for all channels": lambda: noise(1, 2, 3, seed=4),
    "a batch of one": lambda: noise(1, 4, 1, 1, seed=4),
    "in double precision": lambda: noise(4, 2, 3, seed=4, dtype=torch.float64),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("is_function", [False, True])
def test_tensors_of_these_forms_stand_in(name, is_function):
    tensor, activation = FORMS[name](), noise(2, 4, 2, 3)
    replaced = replace((lambda _: tensor) if is_function else tensor, activation)
    expected = tensor[:, None, None] if tensor.dim() == 1 else tensor
    assert torch.equal(replaced, expected.float().expand(2, 4, 2, 3))
    assert replaced.data_ptr() != tensor.data_ptr()


NOT_LIKE = {
    "other channels": (torch.ones(3), r"shape \(3,\); expected the activation's, \(2, 4, 2, 3\), or \(4, 2, 3\)"),
    "a row of the grid": (torch.ones(2), r"shape \(2,\)"),
    "the grid alone": (torch.ones(2, 3), r"shape \(2, 3\)"),
    "another grid": (torch.ones(4, 3, 2), r"shape \(4, 3, 2\)"),
    "three images": (torch.ones(3, 4, 2, 3), r"shape \(3, 4, 2, 3\)"),
    "a number": (torch.tensor(1.0), r"shape \(\)"),
    "whole numbers": (torch.ones(4, dtype=torch.long), "torch.int64.*expected stored floating-point numbers"),
    "complex numbers": (torch.ones(4, dtype=torch.complex64), "torch.complex64.*expected stored floating-point"),
    "no numbers": (torch.ones(4, device="meta"), "device meta; expected stored floating-point numbers"),
    "sparse": (torch.ones(4).to_sparse(), "torch.sparse_coo; expected stored floating-point numbers"),
    "NaN": (torch.tensor([1.0, 2.0, torch.nan, 3.0]), "holds NaN or infinity; expected finite numbers"),
    "infinity": (torch.full((4,), torch.inf), "holds NaN or infinity"),
    "too large for the precision": (torch.full((4,), 1e300, dtype=torch.float64), "precision.*holds NaN or infinity"),
}


@pytest.mark.parametrize("name", NOT_LIKE)
@pytest.mark.parametrize("is_function", [False, True])
def test_what_cannot_stand_in_is_refused_in_one_line(name, is_function):
    tensor, message = NOT_LIKE[name]
    with pytest.raises(OptionError, match=f"removal.*{message}") as refused:
        replace((lambda _: tensor) if is_function else tensor, noise(2, 4, 2, 3))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("made", [None, 0.0, [1.0]])
def test_a_function_makes_a_tensor(made):
    with pytest.raises(OptionError, match=r"removal 'function f' at layer 'layer4' is a .*; expected a tensor"):
        replace(named("f", lambda _: made), noise(2, 4, 2, 3))


def named(name, function):
    function.__name__ = name
    return function


UNKNOWN = {"maen": "did you mean 'mean'", "noise": "known are zero, mean, blur"}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_removal_is_refused_with_near_names(name):
    with pytest.raises(OptionError, match=f"removal '{name}' is unknown; {UNKNOWN[name]}"):
        resolve_removal(name)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("choice", [None, 0, 0.5, [0.0], {"mean"}])
def test_other_things_are_refused(choice):
    with pytest.raises(
        OptionError,
        match=r"removal is a .*; expected 'zero' or 'mean' or .* or 'samples', a tensor .* or a function",
    ):
        resolve_removal(choice)


def test_other_removals_have_other_names():
    choices = ["zero", "mean", torch.zeros(4), torch.ones(4), torch.ones(1, 4), named("blur", lambda a: a)]
    removals = [resolve_removal(choice) for choice in choices]
    assert len({removal.name for removal in removals}) == len(choices)
    assert removals[-1].name == "function blur"
    assert resolve_removal(torch.ones(4)).name == resolve_removal(torch.ones(4).double()).name
    same_name = resolve_removal(named("blur", lambda a: 2 * a))
    assert same_name.name == removals[-1].name
    assert same_name.identity != removals[-1].identity


def test_a_tensor_that_is_changed_later_still_stands_in_as_it_was():
    tensor = torch.ones(4)
    removal = resolve_removal(tensor)
    tensor.zero_()
    assert bool((removal.replacement(noise(1, 4, 2, 3), NCHW, "layer4") == 1).all())


def test_a_function_may_write_into_what_it_gets():
    activation = noise(2, 4, 2, 3)
    before = activation.clone()
    replaced = replace(lambda a: a.mul_(2), activation)
    assert torch.equal(activation, before)
    assert torch.equal(replaced, 2 * before)


def test_for_a_batch_a_function_is_called_once():
    calls = []

    def count(activation):
        calls.append(tuple(activation.shape))
        return activation / 2

    activation, removal = noise(2, 4, 2, 3), resolve_removal(count).once()
    first, second = (removal.replacement(activation, NCHW, "layer4") for _ in range(2))
    assert calls == [(2, 4, 2, 3), (1, 4, 2, 3), (1, 4, 2, 3)]
    assert torch.equal(first, second)
    assert removal.identity == resolve_removal(count).identity


def test_what_a_function_makes_is_no_part_of_a_graph():
    weight = torch.ones(4, 1, 1, requires_grad=True)
    assert not replace(lambda a: a * weight, noise(2, 4, 2, 3)).requires_grad


@pytest.mark.parametrize("layout", [NCHW, TOKENS])
def test_coalitions_have_exactly_the_content_of_one_or_the_other(layout):
    shape = (2, 4, 2, 3) if layout is NCHW else (2, 4, 5)
    activation, replacement = noise(*shape), 1e9 * noise(*shape, seed=1)
    contents = Contents(activation, replacement, layout)
    positions = layout.positions(activation).shape[1]
    presence = (noise(2, 5, positions, seed=2) > 0).float()
    for image, of_image in enumerate(contents.of_coalitions(presence, torch.tensor([0, 1]))):
        for row, made in zip(presence[image], of_image, strict=True):
            for position, vector in enumerate(layout.positions(made[None])[0]):
                source = activation if row[position] else replacement
                assert torch.equal(vector, layout.positions(source)[image, position])


def test_zeros_stand_in_as_zero_does():
    activation = noise(2, 4, 2, 3)
    zero, zeros = (Contents(activation, replacement, NCHW) for replacement in (None, torch.zeros_like(activation)))
    presence = (noise(2, 5, 6, seed=2) > 0).float()
    images = torch.tensor([1, 0])
    assert torch.equal(zero.of_coalitions(presence, images), zeros.of_coalitions(presence, images))
    assert torch.equal(zero.along(0.3), zeros.along(0.3))
    assert torch.equal(zero.difference, zeros.difference)
    assert torch.equal(zero.empty, zeros.empty)


def test_a_removal_is_its_own_choice():
    removal = Removal("blur", lambda activation, _: activation / 2)
    assert resolve_removal(removal) is removal


def test_zero_has_no_sign():
    """-1 times 0 is -0, and atan2(-0, -1) is -π where atan2(0, -1) is π."""
    contents = Contents(torch.tensor([[[-1.0], [2.0]]]), None, Layout("tokens", (1, 2)))
    removed = contents.of_coalitions(torch.zeros(1, 1, 2), torch.tensor([0]))
    assert not torch.signbit(removed).any()


def test_a_function_that_raises_is_told_in_one_line():
    removal = resolve_removal(lambda activation: activation.no_such_thing)
    with pytest.raises(OptionError, match=r"removal 'function <lambda>' raised AttributeError") as caught:
        removal.replacement(noise(1, 2, 2, 2), Layout("NCHW", (2, 2)), "features")
    assert "\n" not in str(caught.value)


def hidden_state():
    """A function that gives other numbers each time without drawing."""
    calls = []

    def drift(activation):
        calls.append(1)
        return activation + len(calls)

    return drift


MIXING = {
    "a mean over the batch": lambda a: a.mean(0, keepdim=True).expand_as(a),
    "its channels' means over all images": lambda a: a.mean((0, 2, 3)),
    "one tensor for all": lambda a: a.mean(0),
    "a mean over everything": lambda a: torch.full_like(a, float(a.mean())),
    "the first image": lambda a: a[:1].expand_as(a),
    "the last image": lambda a: a[-1:].expand_as(a),
    "the neighbour": lambda a: a.roll(1, 0),
    "the batch backwards": lambda a: a.flip(0),
    "by its number": lambda a: a * torch.arange(1.0, len(a) + 1)[:, None, None, None],
    "normalised by the batch": lambda a: torch.nn.functional.batch_norm(a, None, None, training=True),
    "a largest number": lambda a: a / a.abs().max(),
    "a shape of the batch": lambda a: a.sum((0, 1, 2, 3)).expand(len(a), 4, 2, 3),
    "only in batches": lambda a: a * 0.5 if len(a) > 1 else a,
    "nothing of one": lambda a: a if len(a) > 1 else None,
    "seeded noise of the batch's shape": lambda a: torch.rand(a.shape, generator=torch.Generator().manual_seed(len(a))),
}


@pytest.mark.parametrize("images", [2, 5])
@pytest.mark.parametrize("name", MIXING)
def test_a_function_that_mixes_images_is_refused(name, images):
    function = named("f", MIXING[name])
    with pytest.raises(OptionError, match="removal 'function f' makes something else of an image among") as refused:
        replace(function, noise(images, 4, 2, 3))
    assert "\n" not in str(refused.value)


CHANGING = {"noise": torch.rand_like, "dropout": torch.nn.functional.dropout, "a count of its calls": hidden_state()}


@pytest.mark.parametrize("images", [1, 2, 5])
@pytest.mark.parametrize("name", CHANGING)
def test_a_function_that_is_never_the_same_is_refused(name, images):
    function = named("f", lambda a, of=CHANGING[name]: of(a))
    with pytest.raises(
        OptionError, match="removal 'function f' makes something else of the same activation"
    ) as refused:
        replace(function, noise(images, 4, 2, 3))
    assert "\n" not in str(refused.value)


OF_EACH_IMAGE = {
    "the image's mean": lambda a: a.mean((2, 3), keepdim=True).expand_as(a),
    "a blur": lambda a: torch.nn.functional.avg_pool2d(a, 3, 1, 1),
    "backwards": lambda a: a.flip(3),
    "noise seeded by the image": lambda a: torch.stack(
        [torch.rand(a.shape[1:], generator=torch.Generator().manual_seed(int(1e6 * float(x.abs().sum())))) for x in a]
    ),
    "the same noise for all": lambda a: torch.rand(a.shape[1:], generator=torch.Generator().manual_seed(0)),
    "in half precision": lambda a: a.half() / 3,
    "a convolution": lambda a: torch.nn.functional.conv2d(a, noise(4, 4, 3, 3), padding=1),
}


@pytest.mark.parametrize("images", [1, 2, 5])
@pytest.mark.parametrize("name", OF_EACH_IMAGE)
def test_a_function_of_each_image_by_itself_is_taken(name, images):
    activation, function = noise(images, 4, 2, 3), OF_EACH_IMAGE[name]
    replaced = replace(function, activation)
    torch.testing.assert_close(replaced, function(activation).float().expand_as(activation))


def test_images_that_are_alike_may_be_mixed():
    """A mean over equal images is each image's own."""
    activation = noise(1, 4, 2, 3).expand(3, -1, -1, -1)
    assert torch.allclose(replace(lambda a: a.mean(0), activation), activation)
