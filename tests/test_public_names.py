"""Public names are reached by attribute access, and no function hides the module that has its name."""

from __future__ import annotations

import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import shapleycam

REFERENCE = Path(__file__).parents[1] / "docs/api"
PACKAGES = [
    "shapleycam",
    *(info.name for info in pkgutil.walk_packages(shapleycam.__path__, "shapleycam.") if info.ispkg),
]


def documented_names() -> list[str]:
    """Return the dotted names that the pages of docs/api show."""
    pages = (path.read_text(encoding="utf-8") for path in REFERENCE.glob("*.md"))
    return sorted({name for page in pages for name in re.findall(r"^::: (\S+)", page, re.MULTILINE)})


@pytest.mark.parametrize("package", PACKAGES)
def test_no_attribute_hides_the_module_of_its_name(package):
    """`import shapleycam.values.permutation` must not give a function: such modules have an underscore."""
    for info in pkgutil.iter_modules(import_module(package).__path__):
        if info.name.startswith("_"):
            continue
        module = import_module(f"{package}.{info.name}")
        assert isinstance(module, ModuleType)
        assert getattr(import_module(package), info.name) is module, f"{package}.{info.name}"


def test_the_package_gives_every_name_that_it_lists():
    """In a process of its own, where no other test has imported a subpackage already."""
    code = "import shapleycam\nfor name in shapleycam.__all__: assert getattr(shapleycam, name) is not None, name"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_of_the_reference_is_an_attribute():
    names = documented_names()
    assert names
    code = (
        "import operator, shapleycam\n"
        f"for name in {names!r}:\n"
        "    operator.attrgetter(name.removeprefix('shapleycam.'))(shapleycam)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
