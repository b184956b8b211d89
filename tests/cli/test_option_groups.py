"""Groups of options: declared once, attached to commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

from shapleycam.cli.explainers import make_explainer
from shapleycam.cli.groups import ComputeGroup, NetworkGroup
from shapleycam.cli.option_groups import flatten_groups, option_names
from shapleycam.errors import OptionError


@dataclass(frozen=True)
class Group:
    first: Annotated[int, typer.Option("--first")] = 1
    hidden: str = "kept"
    second: Annotated[str, typer.Option("--second")] = "b"


@dataclass(frozen=True)
class Wider(Group):
    first: Annotated[int, typer.Option("--first")] = 10
    hidden: Annotated[str, typer.Option("--shown")] = "seen"


def test_a_field_without_an_option_is_none():
    assert option_names(Group) == ["first", "second"]


def test_a_subclass_keeps_the_order_and_may_offer_more():
    assert option_names(Wider) == ["first", "hidden", "second"]


@pytest.mark.parametrize(
    ("group", "words", "expected"),
    [
        (Group, [], Group(1, "kept", "b")),
        (Group, ["--second", "x"], Group(1, "kept", "x")),
        (Wider, ["--shown", "y"], Wider(10, "y", "b")),
    ],
)
def test_a_command_is_called_with_its_groups(group, words, expected):
    received = []

    def command(name: Annotated[str, typer.Argument()], *, options: group, loud: bool = False) -> None:
        """Say what was typed."""
        received.append((name, options, loud))

    command.__annotations__["options"] = group  # which is no name of this module
    app = typer.Typer()
    app.command()(flatten_groups(command))
    app([*words, "cat", "--loud"], standalone_mode=False)
    assert received == [("cat", expected, True)]
    assert flatten_groups(command).__doc__ == "Say what was typed."


def test_cheap_choices_are_checked_before_the_model_is_loaded():
    network = NetworkGroup(model="missing.py:nothing", fuse="sum")
    with pytest.raises(OptionError, match="fuse='sum' is unknown"):
        make_explainer(network, ComputeGroup())
