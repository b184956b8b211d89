"""The cells of the matrix of versions: what was installed in each, what came of it, and the table of all of them."""

from __future__ import annotations

import itertools
import json
import os
import platform
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
WORK = Path(os.environ.get("SHAPLEYCAM_VERSIONS", Path.home() / ".cache/shapleycam-versions"))
PYTHONS, RESOLUTIONS = ("3.11", "3.12", "3.13"), ("lowest-direct", "highest")
MAIN_PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "pillow", "matplotlib", "pyarrow", "polars", "typer")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


@dataclass
class Cell:
    """One environment, and what came of it; without an `extra` it is the core, `selected` replaces the usual tests.

    `failed` are the names of tests; `rerun` says how many failed at first, and were run again with a later checkout.
    """

    python: str
    resolution: str
    extra: str = ""
    checkout: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    explained: bool = False
    outcomes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    selected: list[str] | None = None
    failure: str = ""
    failed: list[str] = field(default_factory=list)
    rerun: int = 0

    @property
    def name(self) -> str:
        """The name of its folder and its result."""
        return "-".join(filter(None, (self.python, self.resolution, self.extra)))

    @property
    def requirements(self) -> str:
        """What is installed."""
        return f".[{','.join(filter(None, ('test', self.extra)))}]"


def declared(extra: str) -> Iterator[Requirement]:
    """Yield the requirements of the core, or of an extra; what an extra has of other extras is left out."""
    texts = EXTRAS[extra] if extra else PROJECT["dependencies"]
    yield from (requirement for requirement in map(Requirement, texts) if requirement.name != PROJECT["name"])


def lower_bounds(extra: str, python: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the lowest version of each requirement of the core or an extra that this Python has."""
    for requirement in declared(extra):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            bound = next(spec.version for spec in requirement.specifier if spec.operator in {">=", "=="})
            yield canonicalize_name(requirement.name), bound


def untested_bounds(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the lower bounds that cells of the lowest versions were to install and did not, by Python."""
    lowest = [cell for cell in cells if cell.resolution == RESOLUTIONS[0] and cell.versions]
    for python in sorted({cell.python for cell in lowest}):
        of_python = [cell for cell in lowest if cell.python == python]
        extras = {"", "test", *(cell.extra for cell in of_python)}
        for name, bound in sorted({pair for extra in extras for pair in lower_bounds(extra, python)}):
            installed = {cell.versions[name] for cell in of_python if name in cell.versions}
            if not any(SpecifierSet(f"=={bound}").contains(version) for version in installed):
                yield f"{python}: {name} {bound} (installed: {', '.join(sorted(installed)) or 'none'})"


def missing_cells(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield what of the whole matrix was not run, a text for each Python and resolution."""
    names = {(cell.python, cell.resolution, cell.extra) for cell in cells if cell.versions}
    for python, resolution in itertools.product(PYTHONS, RESOLUTIONS):
        extras = ["", *(extra for extra in EXTRAS if extra != "test")]
        if absent := [extra or "the core" for extra in extras if (python, resolution, extra) not in names]:
            yield f"{python} {resolution}: {', '.join(absent)}"


def row(cell: Cell) -> str:
    """Return the line of a cell in its table."""
    failed = sum(cell.outcomes.get(end, 0) for end in ("failure", "error"))
    tests = f"{cell.outcomes.get('passed', 0)} / {cell.outcomes.get('skipped', 0)} / {failed}"
    if cell.rerun:
        tests += f" ({cell.rerun} failed at first; mended, and run again)"
    if not cell.outcomes:
        tests = "site built" if cell.extra == "docs" and not cell.failure else "not run"
    elif cell.selected is not None:
        tests = f"of {' '.join(cell.selected)}: {tests}"
    packages = [canonicalize_name(entry.name) for entry in declared(cell.extra)] if cell.extra else MAIN_PACKAGES
    versions = ", ".join(f"{name} {cell.versions.get(name, '–')}" for name in packages[:10])
    explained = "yes" if cell.explained else "no"
    first = f"| {cell.extra} " if cell.extra else ""
    return f"{first}| {cell.python} | {cell.resolution} | {versions} | {explained} | {tests} | {cell.seconds:.0f} |"


def table(cells: Sequence[Cell]) -> str:
    """Return the matrix as markdown."""
    titles = ("Python", "versions", "installed", "`shapleycam explain`", "tests passed / skipped / failed", "seconds")
    parts = ["# Versions that were tried", f"{platform.system()} {platform.machine()}, CPU; `bench/versions.py`."]
    for heading, first in (("The core, and the fast tests", ()), ("Each extra on the core, and its tests", ("extra",))):
        rows = [row(cell) for cell in cells if bool(cell.extra) == bool(first)]
        columns = (*first, *titles)
        parts += [f"### {heading}", "\n".join([f"| {' | '.join(columns)} |", f"{'|---' * len(columns)}|", *rows])]
    bounds, absent = "; ".join(untested_bounds(cells)), "; ".join(missing_cells(cells))
    parts.append(f"Lower bounds of these rows that were not installed as such: {bounds or 'none'}.")
    parts.append(f"Not run: {absent or 'nothing'}.")
    parts += [f"{cell.name} failed: `{' '.join(cell.failure.split())[-500:]}`" for cell in cells if cell.failure]
    return "\n\n".join(parts) + "\n"


def saved_cells() -> list[Cell]:
    """Return all cells that were run, in the order of the table."""
    cells = [Cell(**json.loads(path.read_text(encoding="utf-8"))) for path in (WORK / "cells").glob("*.json")]
    return sorted(cells, key=lambda cell: (cell.extra, cell.python, RESOLUTIONS.index(cell.resolution)))
