"""Imports go only backwards along the way of the data."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import shapleycam

ROOT = Path(shapleycam.__file__).parent

WAY = (
    ("errors", "version", "names", "urls", "wording", "precision"),
    ("images", "files"),
    ("models",),
    ("tracing",),
    ("layers",),
    ("utilities",),
    ("game",),
    ("values",),
    ("cams",),
    ("drawing",),
    ("explanations",),
    ("explaining",),
    ("fidelity",),
    ("metrics",),
    ("experiments",),
    ("report",),
    ("web",),
    ("cli",),
)
"""Modules and packages in the order of the data; those on one line do not import each other."""

PLACE = {name: place for place, names in enumerate(WAY) for name in names}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")  # which names what all others hold


def part_of(module: str) -> str:
    """The module or package on the way to which a dotted name belongs."""
    return module.removeprefix("shapleycam.").split(".")[0]


def imported(tree: ast.AST, package: str) -> set[str]:
    """The parts of shapleycam that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            around = package.split(".")[: -(node.level - 1) or None] if node.level else []
            origin = ".".join([*around, *([node.module] if node.module else [])])
            found |= {f"shapleycam.{alias.name}" for alias in node.names} if origin == "shapleycam" else {origin}
    return {part_of(name) for name in found if name == "shapleycam" or name.startswith("shapleycam.")}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_only_backwards(path):
    name = name_of(path)
    own = part_of(name)
    assert own in PLACE, f"{name} has no place on the way of the data: give {own} one in WAY"
    package = "shapleycam." + name.rpartition(".")[0] if "." in name else "shapleycam"
    others = imported(ast.parse(path.read_text(encoding="utf-8")), package) - {own}
    forwards = {other for other in others if PLACE.get(other, len(WAY)) >= PLACE[own]}
    assert not forwards, f"{name} imports {', '.join(sorted(forwards))}, which come later on the way of the data"


def test_everything_on_the_way_is_there():
    assert {part_of(name_of(path)) for path in FILES} == PLACE.keys()


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("import shapleycam.game", {"game"}),
        ("from shapleycam import cli, web", {"cli", "web"}),
        ("from shapleycam.tracing.isolation import isolated_copy", {"tracing"}),
        ("def f():\n    from shapleycam.models import zoo", {"models"}),
        ("from ..explaining import Explainer", {"explaining"}),
        ("from .. import drawing", {"drawing"}),
        ("from .table import METHODS", {"cams"}),
        ("import torch\nfrom torch import nn", set()),
    ],
)
def test_no_way_of_importing_escapes(code, parts):
    assert imported(ast.parse(code), "shapleycam.cams") == parts
