"""Examples in docstrings are run, each by itself; every public function and class has one."""

from __future__ import annotations

import ast
import doctest
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import shapleycam

PACKAGE = Path(shapleycam.__file__).parent
REFERENCE = Path(__file__).parents[1] / "docs/api"
PROMPT = ">>>"
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def docstrings_of(path: Path) -> Iterator[tuple[str, str]]:
    """The dotted names and docstrings of a file's module, functions, classes and methods."""
    module = ".".join(["shapleycam", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")

    def within(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
        if text := ast.get_docstring(node):
            yield name, text
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                yield from within(child, f"{name}.{child.name}")

    yield from within(ast.parse(path.read_text(encoding="utf-8")), module)


EXAMPLES = {
    name: text
    for path in sorted(PACKAGE.rglob("*.py"))
    if PROMPT in path.read_text(encoding="utf-8")
    for name, text in docstrings_of(path)
    if PROMPT in text
}
"""The docstrings that have examples, by the dotted name of what they belong to."""


EXPORTING = [
    ".".join(["shapleycam", *path.parent.relative_to(PACKAGE).parts])
    for path in sorted(PACKAGE.rglob("__init__.py"))
    if "__all__" in path.read_text(encoding="utf-8")
]


def public_names() -> set[str]:
    """Dotted names of what the packages export and of what the reference shows."""
    exported = {f"{package}.{name}" for package in EXPORTING for name in pkgutil.resolve_name(package).__all__}
    pages = "".join(path.read_text(encoding="utf-8") for path in REFERENCE.glob("*.md"))
    return exported | set(re.findall(r"^::: (\S+)", pages, re.MULTILINE))


@cache
def public_definitions() -> dict[str, object]:
    """Return the functions and classes behind the public names that are no errors, by where they are defined."""
    definitions = {}
    for name in public_names():
        definition = pkgutil.resolve_name(name)
        is_error = isinstance(definition, type) and issubclass(definition, BaseException)
        if callable(definition) and not is_error and getattr(definition, "__module__", "").startswith("shapleycam"):
            definitions[f"{definition.__module__}.{getattr(definition, '__qualname__', name)}"] = definition
    return definitions


def module_of(name: str) -> ModuleType:
    """Return the module in which a dotted name is defined."""
    while True:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            name = name.rpartition(".")[0]


@pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")
@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.usefixtures("one_default_network")
def test_the_example_runs(name, monkeypatch, tmp_path):
    """Without a network, in an empty folder; that of a public name as it stands, with its own imports."""
    import torch

    names = {} if name in public_definitions() else dict(vars(module_of(name)))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.manual_seed(0)
    test = doctest.DocTestParser().get_doctest(EXAMPLES[name], names, name, None, 0)
    report: list[str] = []
    failed, tried = doctest.DocTestRunner(verbose=False, optionflags=OPTIONS).run(test, out=report.append)
    assert not failed, "".join(report)
    assert tried


def test_every_name_of_the_reference_exists():
    for name in public_names():
        assert pkgutil.resolve_name(name) is not None


def test_every_public_function_and_class_has_an_example():
    assert sorted(name for name, thing in public_definitions().items() if PROMPT not in (thing.__doc__ or "")) == []
