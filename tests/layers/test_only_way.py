"""That no image goes around a layer is proven from the operations, not from the numbers of one image."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from shapleycam import Explainer
from shapleycam.errors import LayerBypassedWarning
from shapleycam.layers.only_way import prove_only_way
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs


class Gated(nn.Module):
    """A branch around the layer `main`, which `join` adds to it; `passes` counts the images that were run."""

    def __init__(self, join):
        super().__init__()
        self.main, self.side, self.fc = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(4, 3)
        self.join = join
        self.register_buffer("memory", torch.zeros(1, 4, 4, 4))

    def forward(self, x):
        return self.fc(self.join(self, x).mean((2, 3)))


def gate(x):
    """Return 0 for an image whose mean is under 0.5."""
    return torch.relu(x.mean((1, 2, 3), keepdim=True) - 0.5)


def of_branch_without_gate(net, x):
    return net.main(x)


def of_gate_before_the_layer(net, x):
    return net.main(x * gate(x))


def of_form_only(net, x):
    return net.main(x) + torch.zeros_like(x)[:, :1, ::2, ::2] + x.new_ones(1)


def of_constant_places(net, x):
    return net.main(x)[:, torch.tensor([2, 0, 1, 3])]


def by_product(net, x):
    return net.main(x) + gate(x) * net.side(x)


def in_place(net, x):
    result = net.main(x)
    result += gate(x) * net.side(x)
    return result


def into_new_memory(net, x):
    memory = torch.zeros(len(x), 4, 4, 4)
    memory[:, 1:].copy_((gate(x) * net.side(x))[:, 1:])
    return net.main(x) + memory


def into_a_buffer(net, x):
    net.memory.copy_(gate(x) * net.side(x))
    return net.main(x) + net.memory


def by_condition(net, x):
    return net.main(x) + net.side(x) if x.mean() > 0.5 else net.main(x)


def by_condition_on_what_passed(net, x):
    result = net.main(x)
    return result + net.side(x) if result.mean() > 100 else result


def by_number_of_places(net, x):
    return net.main(x) + net.side(x) if len((x > 1).nonzero()) else net.main(x)


def by_numpy(net, x):
    return net.main(x) + torch.from_numpy(gate(x).numpy()) * 1


def by_numbers_in_a_list(net, x):
    return net.main(x) + max(0.0, max(x.flatten().tolist()) - 2)


def where(net, x):
    return torch.where(x.mean((1, 2, 3), keepdim=True) > 0.5, net.side(x), net.main(x))


def by_choice_of_places(net, x):
    return net.main(x)[:, (x.mean() > 0.5).long() + torch.arange(2)]


def images(level, count=1):
    return level * torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


PROVEN = [of_branch_without_gate, of_gate_before_the_layer, of_form_only, of_constant_places]
UNPROVEN = [
    *(by_product, in_place, into_new_memory, into_a_buffer, by_condition, by_condition_on_what_passed),
    *(by_number_of_places, by_numpy, by_numbers_in_a_list, where, by_choice_of_places),
]


@pytest.mark.parametrize(("join", "is_proven"), [*((j, True) for j in PROVEN), *((j, False) for j in UNPROVEN)])
@torch.no_grad()
def test_a_branch_that_is_closed_for_this_image_is_no_proof(join, is_proven):
    torch.manual_seed(0)
    net = Gated(join).eval()
    assert prove_only_way(net, images(0.4), "main", lambda output: output).is_proven is is_proven


def test_what_torchscript_computes_beside_the_layer_is_a_way_around():
    torch.manual_seed(0)
    net = Gated(by_product).eval()
    net.side = torch.jit.script(net.side)
    assert not prove_only_way(net, images(0.4), "main", lambda output: output).is_proven


def test_a_layer_that_returns_the_image_itself_is_not_taken_for_the_image():
    torch.manual_seed(0)
    net = Gated(lambda net, x: net.side(net.main(x) + x)).eval()
    net.main = nn.Identity()
    assert not prove_only_way(net, images(0.4), "main", lambda output: output).is_proven


@pytest.mark.parametrize("batches", [[images(0.4), images(1.5)], [torch.cat([images(0.4), images(1.5)])]])
def test_each_image_of_each_call_is_tried(batches):
    """The first image's gate is closed; a rule finds `main` there, which runs last."""
    torch.manual_seed(0)
    net = Gated(lambda net, x: gate(x) * net.side(x) + net.main(x)).eval()
    explainer = Explainer(net, layer="last-conv")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LayerBypassedWarning)
        for batch in [*batches, images(1.5, 2)]:
            explainer.explain(batch, "hirescam")
    messages = [str(each.message) for each in caught if each.category is LayerBypassedWarning]
    assert len(messages) == 1  # once an explainer, however many images have another way
    assert explainer.layer == "main"
    assert "from image 1 of the batch to the output" in messages[0] or len(batches) > 1


def branch_with_gate_first(net, x):
    return gate(x) * net.side(x) + net.main(x)


@pytest.mark.parametrize(("join", "runs_an_image"), [(of_branch_without_gate, 0), (branch_with_gate_first, 2)])
def test_a_layer_with_a_proof_costs_later_images_nothing(monkeypatch, join, runs_an_image):
    torch.manual_seed(0)
    rows, forward = [], nn.Linear.forward  # `fc` runs once a pass
    monkeypatch.setattr(nn.Linear, "forward", lambda linear, x: rows.append(len(x)) or forward(linear, x))
    net, counts = Gated(join).eval(), []
    for layer in ("last-conv", "main"):
        explainer = Explainer(net, layer=layer)
        explainer.explain(images(0.3, 2), "hirescam")  # what is proven once for a size
        assert explainer.layer == "main"
        rows.clear()
        explainer.explain(images(0.4, 2), "hirescam")
        counts.append(sum(rows))
    assert counts == [2 + 2 * runs_an_image, 2]


def test_a_proof_holds_for_further_inputs_of_the_same_numbers_if_the_operations_depend_on_them():
    class Switched(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.side = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

        def forward(self, x, switch, scale):
            result = self.main(x) * scale
            return (result + self.side(x) if switch > 0 else result).mean((2, 3))

    def further(switch, scale):
        return ExtraInputs((torch.tensor(switch), torch.tensor(scale)))

    proof = prove_only_way(Switched().eval(), images(0.4), "main", lambda output: output, further(0.0, 1.0))
    assert proof.is_proven
    assert proof.holds_with(further(0.0, 1.0))
    assert not proof.holds_with(further(1.0, 1.0))
    assert not proof.holds_with(NO_EXTRA)
