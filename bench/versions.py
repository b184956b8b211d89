"""Does the package install and work with the lowest and the newest versions that it allows, on each Python?

python bench/versions.py [--python V ...] [--resolution R ...] [--extras E ...] [--tests FILE ...] [--again] [--print]

For each Python and each resolution, a cell: a new environment, `uv pip install` of this checkout with its `test` extra,
`shapleycam explain` in an empty folder, and the fast tests, which import the installed package. With `--extras`, cells
of one extra each (all of them where none is named): the core, that extra, and the tests of what it is for. A cell whose
checkout has not changed since it was run is not run again without `--again`. Results are kept in
~/.cache/shapleycam-versions, or the folder that SHAPLEYCAM_VERSIONS names; the table of all of them is printed, and
written to bench/results/versions.md. Needs uv, and packaging in the Python that runs this.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import platform
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET  # what pytest itself has just written

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
WORK = Path(os.environ.get("SHAPLEYCAM_VERSIONS", Path.home() / ".cache/shapleycam-versions"))
PYTHONS, RESOLUTIONS = ("3.11", "3.12", "3.13"), ("lowest-direct", "highest")
FAST = ("-m", "not slow and not ray")
TESTS_OF_EXTRA = {
    "hf": (
        *("models/test_hf.py", "models/test_outputs.py", "models/test_layout_guess.py", "models/test_zero_shot.py"),
        *("layers/test_layout_proofs.py", "tracing/test_nested.py", "tracing/test_hooks_of_the_layer.py"),
    ),
    "clip": ("models/test_zero_shot.py",),
    "datasets": ("experiments/datasets/test_dataset_huggingface.py", "experiments/datasets/test_dataset_contract.py"),
    "ray": ("cli/test_by_ray.py",),
    "web": ("web/test_parts.py",),
    "docs": (),
    "dev": (
        *("test_peers.py", "test_notebooks.py", "experiments/test_storage.py", "explaining/test_fusing.py"),
        *("experiments/datasets/test_dataset_webdataset.py", "metrics/test_imputation.py", "values/test_exact.py"),
        *("metrics/test_metric_oracles.py", "values/test_interactions.py", "report/test_reports_in_a_browser.py"),
    ),
}
"""The test files of what each extra is for; the documentation is built."""
MAIN_PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "pillow", "matplotlib", "pyarrow", "polars", "typer")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


@dataclass
class Cell:
    """One environment, and what came of it; without an `extra` it is the core, `selected` replaces the usual tests."""

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


def constraints(cell: Cell) -> str:
    """Return what holds a cell of the lowest versions at the bounds that it is there for.

    uv's `lowest-direct` alone goes higher where that spares it a lower version of something else. Of `dev` it is only
    what no other cell has: together, the extras need newer versions than each needs on the core.
    """
    if cell.resolution != RESOLUTIONS[0]:
        return ""
    extras = ["dev"] if cell.extra == "dev" else ["", "test", *filter(None, [cell.extra])]
    return "\n".join(f"{name}=={bound}" for extra in extras for name, bound in lower_bounds(extra, cell.python))


def checkout() -> str:
    """Return a hash of all that the result of a cell depends on."""
    digest = hashlib.sha256()
    folders = [path for folder in ("src", "tests", "bench") for path in sorted((ROOT / folder).rglob("*.py"))]
    for path in (ROOT / "pyproject.toml", *folders):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command, and return what it prints; PYTHONPATH must not hide the package that is installed."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=inherited | environment, capture_output=True, text=True, check=False
    )


def checked(step: str, *command: str | Path, **options: str) -> str:
    """Run a command that must succeed, and return what it printed.

    Raises:
        RuntimeError: it failed.
    """
    done = run(*command, **options)
    if done.returncode:
        raise RuntimeError(f"{step}: {(done.stdout + done.stderr).strip()[-2000:]}")
    return done.stdout


def measure(cell: Cell) -> None:
    """Make the environment of a cell anew, and try everything in it; a failure ends it and is noted."""
    start, environment = time.perf_counter(), WORK / "environments" / cell.name
    python, cache = environment / "bin/python", {"UV_CACHE_DIR": str(WORK / "cache")}
    compiled = [word for requirement in declared("") for word in ("--only-binary", requirement.name)]
    try:
        checked("venv", "uv", "venv", "--clear", "--python", cell.python, environment, **cache)
        constrained = WORK / "cells" / f"{cell.name}.constraints"
        constrained.write_text(constraints(cell), encoding="utf-8")
        install = [
            "uv",
            "pip",
            "install",
            "--python",
            python,
            "--reinstall-package",
            PROJECT["name"],
            "-c",
            constrained,
        ]
        checked("install", *install, "--resolution", cell.resolution, *compiled, cell.requirements, **cache)
        listed = checked("list", "uv", "pip", "list", "--python", python, "--format", "json", **cache)
        cell.versions = {canonicalize_name(entry["name"]): entry["version"] for entry in json.loads(listed)}
        with TemporaryDirectory() as folder:
            explained = run(environment / "bin/shapleycam", "explain", cwd=Path(folder))
            cell.explained = explained.returncode == 0 and bool(list(Path(folder).glob("*.png")))
            if not cell.explained:
                cell.failure = f"explain: {explained.stderr[-2000:]}"
            if cell.extra == "docs":
                checked("docs", environment / "bin/mkdocs", "build", "--strict", "--site-dir", folder)
        run_tests(cell, python)
    except RuntimeError as error:
        cell.failure = str(error)
    cell.seconds = time.perf_counter() - start


def tests_of(cell: Cell) -> list[str]:
    """Return pytest's arguments for a cell; none where nothing is to be run."""
    if cell.selected is not None:
        return [*cell.selected, *FAST] if cell.selected else []
    return [f"tests/{name}" for name in TESTS_OF_EXTRA[cell.extra]] if cell.extra else list(FAST)


def run_tests(cell: Cell, python: Path) -> None:
    """Run the fast tests, or those of an extra, and count how they ended.

    Raises:
        RuntimeError: they could not be run.
    """
    arguments = tests_of(cell)
    if not arguments:
        return
    report = WORK / "cells" / f"{cell.name}.xml"
    pytest = [python, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "--tb=short", f"--junitxml={report}"]
    done = run(*pytest, *arguments)
    report.with_suffix(".log").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"tests: {(done.stdout + done.stderr).strip()[-2000:]}")
    outcomes: Counter[str] = Counter()
    for case in ET.parse(report).iter("testcase"):  # noqa: S314
        ends = {child.tag for child in case} & {"failure", "error", "skipped"}
        outcomes[next(iter(ends), "passed")] += 1
    cell.outcomes = dict(outcomes)


def untested_bounds(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the lower bounds that no cell of the lowest versions installed, for each Python that has such cells."""
    lowest = [cell for cell in cells if cell.resolution == RESOLUTIONS[0] and not cell.failure]
    for python in sorted({cell.python for cell in lowest}):
        for name, bound in sorted({pair for extra in ("", *EXTRAS) for pair in lower_bounds(extra, python)}):
            installed = {cell.versions[name] for cell in lowest if cell.python == python and name in cell.versions}
            if not any(SpecifierSet(f"=={bound}").contains(version) for version in installed):
                yield f"{python}: {name}>={bound} ({', '.join(sorted(installed)) or 'not installed'})"


def row(cell: Cell) -> str:
    """Return the line of a cell in its table."""
    failed = sum(cell.outcomes.get(end, 0) for end in ("failure", "error"))
    tests = f"{cell.outcomes.get('passed', 0)} / {cell.outcomes.get('skipped', 0)} / {failed}"
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
    parts.append(f"Lower bounds that no row installed: {'; '.join(untested_bounds(cells)) or 'none'}.")
    parts += [f"{cell.name} failed: `{' '.join(cell.failure.split())[-500:]}`" for cell in cells if cell.failure]
    return "\n\n".join(parts) + "\n"


def saved_cells() -> list[Cell]:
    """Return all cells that were run, in the order of the table."""
    cells = [Cell(**json.loads(path.read_text(encoding="utf-8"))) for path in (WORK / "cells").glob("*.json")]
    return sorted(cells, key=lambda cell: (cell.extra, cell.python, RESOLUTIONS.index(cell.resolution)))


def main() -> None:
    """Run the cells that are asked for, and print the table of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=PYTHONS, help="versions, such as 3.11")
    parser.add_argument("--resolution", nargs="+", default=RESOLUTIONS, choices=RESOLUTIONS)
    parser.add_argument("--extras", nargs="*", choices=TESTS_OF_EXTRA, help="one by one; all where none is named")
    parser.add_argument("--tests", nargs="*", help="these instead of the usual ones; none without a path")
    parser.add_argument("--again", action="store_true", help="run cells also where nothing has changed")
    parser.add_argument("--print", action="store_true", help="run nothing, print the table")
    options = parser.parse_args()
    (WORK / "cells").mkdir(parents=True, exist_ok=True)
    extras = [""] if options.extras is None else options.extras or list(TESTS_OF_EXTRA)
    known = {(cell.name, cell.checkout, str(cell.selected)) for cell in saved_cells() if not options.again}
    combinations = itertools.product(options.python, options.resolution, extras)
    cells = [Cell(*each, checkout=checkout(), selected=options.tests) for each in combinations]
    for cell in [] if options.print else cells:
        if (cell.name, cell.checkout, str(cell.selected)) in known:
            continue
        print(f"{cell.name} ...", file=sys.stderr, flush=True)
        measure(cell)
        (WORK / "cells" / f"{cell.name}.json").write_text(json.dumps(asdict(cell)), encoding="utf-8")
        print(f"    {row(cell)} {cell.failure}", file=sys.stderr, flush=True)
    text = table(saved_cells())
    (ROOT / "bench/results/versions.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
