"""What a model writes while it runs stays its user's: each pass of ours writes into a private copy.

Every case has the values of the network that keeps nothing.
"""

from __future__ import annotations

import functools
import pickle
import random
import weakref
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn
from torch.ao import quantization

from helpers.user_models import METHODS, Small, assert_untouched, pictures, state_of, values
from shapleycam import Explainer
from shapleycam.errors import ModelError, ReplayError
from shapleycam.tracing.isolation import isolated_copy


@pytest.fixture(scope="module")
def plain():
    """The maps of the network that keeps no state."""
    return {method: values(Small(), method) for method in METHODS}


class Range:
    """A helper object that keeps a running range."""

    def __init__(self):
        self.low, self.high, self.count = 1e9, -1e9, 0

    def see(self, values):
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self.count += 1
        return values


class Slots:
    __slots__ = ("count",)

    def __init__(self):
        self.count = 0


@dataclass
class Record:
    low: float = 1e9
    history: list = field(default_factory=list)


seen_list, seen_counts, seen_range, seen_tensor, seen_number = [], {"n": 0}, Range(), torch.zeros(1), 0.0
seen_norm = nn.BatchNorm2d(7)


def count_globally(values):
    seen_list.append(float(values.mean()))
    return seen_range.see(values)


class InBuffers(Small):
    def prepare(self):
        self.register_buffer("range", torch.zeros(2))

    def see(self, values):
        self.range[0] = torch.minimum(self.range[0], values.min())
        self.range = torch.stack([self.range[0], torch.maximum(self.range[1], values.max())])
        return values

    def written_state(self):
        return self.range.tolist()


class InTensors(Small):
    def prepare(self):
        self.total = torch.zeros(2)
        self.part = self.total[:1]

    def see(self, values):
        self.part += values.sum()
        return values

    def written_state(self):
        return self.total.tolist()


class InNumbers(Small):
    def prepare(self):
        self.count, self.mean = 0, 0.0

    def see(self, values):
        self.count, self.mean = self.count + 1, 0.9 * self.mean + float(values.mean())
        return values

    def written_state(self):
        return self.count, self.mean


class InContainers(Small):
    def prepare(self):
        self.all = [[], {"a": {"n": 0}}, set(), deque(maxlen=3), defaultdict(list), Counter(), np.zeros(2)]

    def see(self, values):
        items, counts, numbers, last, lists, counter, array = self.all
        items.append(values)
        counts["a"]["n"] += 1
        numbers.add(len(numbers))
        last.append(1)
        lists["a"].append(1)
        counter["k"] += 1
        array += 1
        return values

    def written_state(self):
        items, counts, numbers, last, lists, counter, array = self.all
        return len(items), counts["a"]["n"], len(numbers), len(last), len(lists["a"]), counter["k"], array.tolist()


class InObjects(Small):
    def prepare(self):
        self.range, self.slots, self.record = [{"r": (Range(),)}], Slots(), Record()

    def see(self, values):
        self.slots.count += 1
        self.record.history.append(float(values.mean()))
        return self.range[0]["r"][0].see(values)

    def written_state(self):
        return vars(self.range[0]["r"][0]).copy(), self.slots.count, len(self.record.history)


class InClosures(Small):
    def prepare(self):
        count, history = 0, []

        def see(values, total=[0]):  # noqa: B006  # the mutable default is the case
            nonlocal count
            count += 1
            total[0] += 1
            history.append(1)
            return values

        self.function = see
        self.written_state = lambda: (count, len(history), see.__defaults__[0][0])

    def see(self, values):
        return self.function(values)


class InPartials(Small):
    def prepare(self):
        self.range = Range()
        self.partial, self.bound = functools.partial(Range.see, self.range), self.range.see

    def see(self, values):
        return self.bound(self.partial(values))

    def written_state(self):
        return self.range.count


class InGlobals(Small):
    def see(self, values):
        global seen_number  # noqa: PLW0603
        seen_number += 1
        seen_counts["n"] += 1
        seen_tensor.add_(1)
        seen_norm(values.detach().repeat(1, 2, 1, 1)[:, :7])
        return count_globally(values)

    def written_state(self):
        counts = seen_number, len(seen_list), seen_counts["n"], seen_range.count
        return counts, seen_tensor.item(), seen_norm.running_mean.tolist()


class InClass(Small):
    history, total, count = [], torch.zeros(1), 0

    @classmethod
    def note(cls):
        cls.history.append(2)

    def see(self, values):
        self.history.append(1)
        self.note()
        InClass.history.append(3)
        InClass.count += 1
        self.total.add_(1)
        return values

    def written_state(self):
        return len(InClass.history), InClass.count, InClass.total.item()


class InRelatives(Small):
    def prepare(self):
        self.count, self.parents, self.weak, self.inside = 0, [self], weakref.ref(self), [nn.Dropout(0.5)]

    def see(self, values):
        self.weak().count += 1
        self.parents[0].count += 1
        return values

    def written_state(self):
        return self.count


class InGenerators(Small):
    def prepare(self):
        self.drawn = [torch.Generator().manual_seed(1), random.Random(1)]  # noqa: S311
        self.drawn += [np.random.default_rng(1), np.random.RandomState(1)]

    def see(self, values):
        ours, pythons, new, old = self.drawn
        assert torch.rand(1, generator=ours) + pythons.random() + new.random() + old.rand() + torch.rand(1) > 0
        assert random.random() + np.random.rand() >= 0  # noqa: NPY002, S311
        return values

    def written_state(self):
        ours, pythons, new, old = self.drawn
        return ours.get_state().tolist(), pythons.getstate(), new.bit_generator.state, old.get_state()[2]


class InItself(Small):
    def see(self, values):
        self.last, self.body.seen, self.body.training = values, True, False
        return values

    def written_state(self):
        return "last" in vars(self), "seen" in vars(self.body), self.body.training


class OwnInput(Small):
    def forward(self, x):
        x -= 0.25
        x.mul_(2)
        return super().forward(x / 2 + 0.25)

    def written_state(self):
        return None


KINDS = [
    *(InBuffers, InTensors, InNumbers, InContainers, InObjects, InClosures, InPartials, InGlobals, InClass),
    *(InRelatives, InGenerators, InItself, OwnInput),
]


@pytest.mark.parametrize("layer", ["body", "stem"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_forward_writes_stays_the_users(kind, layer, plain):
    model, images = kind(), pictures()
    before, written_before, seen = state_of(model), str(model.written_state()), images.clone()
    for method in METHODS:
        actual = values(model, method, layer, images)
        if layer == "body":
            torch.testing.assert_close(actual, plain[method], rtol=1e-3, atol=1e-6)
        assert str(model.written_state()) == written_before, method
        assert_untouched(before, model)
        assert torch.equal(images, seen)


@pytest.mark.parametrize("observer", [
    quantization.MinMaxObserver, quantization.MovingAverageMinMaxObserver, quantization.HistogramObserver,
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated")
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_observers_of_quantisation_see_nothing_of_ours(observer, plain):
    model = Small().eval()
    model.qconfig = quantization.QConfig(activation=observer, weight=quantization.default_weight_observer)
    prepared = quantization.prepare(model)
    prepared(pictures(4))
    before = state_of(prepared)
    for method in METHODS:
        torch.testing.assert_close(values(prepared, method), plain[method])
    assert_untouched(before, prepared)


def test_modules_outside_the_tree_keep_their_mode_and_their_statistics():
    class Hidden(Small):
        def prepare(self):
            self.hidden = [nn.BatchNorm2d(7).train()]

        def head(self, values):
            return super().head(self.hidden[0](values))

    model = Hidden().eval()
    with pytest.raises(ModelError, match="the model gives an image another output alone than in a batch of 2"):
        values(model, "hirescam")
    assert model.hidden[0].training
    assert torch.equal(model.hidden[0].running_mean, torch.zeros(7))


class OwnTrain(Small):
    """train() and eval() that do something else, as in libraries whose models train themselves."""

    def train(self, data=None, epochs=1):
        raise AssertionError("training was started")

    def eval(self):
        raise AssertionError("evaluation was started")

    def state_dict(self):
        raise AssertionError("state was asked for")

    def to(self, *args):
        raise AssertionError("moved")

    def __repr__(self):
        raise AssertionError("printed")


class Freezing(Small):
    def train(self, mode=True):
        super().train(mode)
        self.stem.weight.requires_grad_(requires_grad=not mode)
        return self


@pytest.mark.parametrize("kind", [OwnTrain, Freezing])
def test_no_method_of_the_users_is_called(kind, plain):
    model = kind()
    before = state_of(model)
    for method in METHODS:
        torch.testing.assert_close(values(model, method), plain[method])
    assert_untouched(before, model)


def weight_writing_model(kind):
    class Writing(Small):
        def see(self, values):
            with torch.no_grad():
                if kind == "in place":
                    self.fc.weight.mul_(1.5)
                else:
                    self.fc.weight.data.clamp_(-0.1, 0.1)
            return values

    return Writing()


@pytest.mark.parametrize("method", ["pathcam-h", "sampledshapley"])
@pytest.mark.parametrize("kind", ["in place", "by data"])
def test_writes_into_parameters_are_refused(kind, method):
    text = r"layer 'body': the model writes into one of its parameters, of shape \(4, 7\)"
    with pytest.raises(ReplayError, match=text):
        values(weight_writing_model(kind), method)


def test_a_lazily_initialised_module_is_refused_and_stays_so():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(3))
    text = r"LazyConv2d has lazily initialised parameters.*run the model once on an image"
    with pytest.raises(ModelError, match=text):
        values(model, "gradcam", "0")
    assert isinstance(model[0], nn.LazyConv2d)
    assert isinstance(model[3].weight, nn.UninitializedParameter)


def test_the_generators_go_on_from_where_they_were():
    state = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with isolated_copy(Small()) as copied:
        copied(pictures() + random.random() + np.random.rand() + torch.rand(1))  # noqa: NPY002, S311
    assert random.getstate() == state[0]
    assert torch.equal(torch.get_rng_state(), state[1])
    assert (np.random.get_state()[1] == state[2]).all()  # noqa: NPY002


@pytest.mark.parametrize("layer", ["body", None])
@pytest.mark.parametrize("utility", ["rest", "probability", "value"])
def test_an_explainer_goes_through_pickle(layer, utility):
    explainer = Explainer(Small(), layer=layer, utility=utility)
    unpickled = pickle.loads(pickle.dumps(explainer))  # noqa: S301
    ours, theirs = (used.explain(pictures(), "hirescam", target=1).values for used in (explainer, unpickled))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
