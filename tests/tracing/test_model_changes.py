"""What counts as a change of the user's model, where most of its modules have the same attributes."""

import pytest
import torch
from torch import nn

from shapleycam.tracing.checks import mark_checked, needs_check
from shapleycam.tracing.model_changes import forget_if_changed


class Block(nn.Module):
    """A module with attributes of many types."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.residual, self.calls, self.name, self.mode = True, 0, "block", None
        self.function, self.sizes, self.mask = torch.relu, (1, (2, [3])), torch.ones(2)


def exchange(block):
    block.conv = nn.Conv2d(3, 3, 3, bias=False)


def hook(block):
    block.conv.register_forward_hook(lambda *_: None)


CHANGES = {
    "an exchanged module": exchange,
    "a hook": hook,
    "a stride": lambda block: setattr(block.conv, "stride", (2, 2)),
    "a flag": lambda block: setattr(block, "residual", False),
    "a text": lambda block: setattr(block, "name", "other"),
    "a function": lambda block: setattr(block, "function", torch.tanh),
    "a nested tuple": lambda block: setattr(block, "sizes", (1, (3, [3]))),
    "a tensor's shape": lambda block: setattr(block, "mask", torch.ones(3)),
    "a number in the place of None": lambda block: setattr(block, "mode", 1),
    "a new attribute": lambda block: setattr(block, "other", "new"),
    "an attribute of another name": lambda block: vars(block).update(title=vars(block).pop("name")),
    "statistics that are gone": lambda block: setattr(block.norm, "running_mean", None),
    "another precision": lambda block: block.conv.double(),
}
NO_CHANGES = {
    "nothing": lambda _: None,
    "a count": lambda block: setattr(block, "calls", 1),
    "weights": lambda block: nn.init.zeros_(block.conv.weight),
    "the mode": lambda block: block.eval(),
    "numbers of a tensor": lambda block: block.mask.zero_(),
}


def is_forgotten(change):
    """Return whether checks of a model of three alike blocks are forgotten after a change of the second one."""
    model = nn.Sequential(Block(), Block(), Block())
    forget_if_changed(model)
    mark_checked(model, "a check")
    change(model[1])
    forget_if_changed(model)
    return needs_check(model, "a check")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_noticed(change):
    assert is_forgotten(change)


@pytest.mark.parametrize("change", NO_CHANGES.values(), ids=NO_CHANGES)
def test_what_changes_no_operation_is_none(change):
    assert not is_forgotten(change)
