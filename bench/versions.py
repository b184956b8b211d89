"""Does the package install and work with the lowest and the newest versions that it allows, on each Python?

python bench/versions.py [--python V ...] [--resolution R ...] [--extras E ...] [--tests FILE ...]
                         [--again] [--failed] [--print]

For each Python and each resolution, a cell: a new environment, `uv pip install` of this checkout with its `test` extra,
`shapleycam explain` in an empty folder, and the fast tests, which import the installed package. With `--extras`, cells
of one extra each (all of them where none is named): the core, that extra, and the tests of what it is for. A cell whose
checkout has not changed since it was run is not run again without `--again`; `--failed` runs only the tests that failed
in each cell again, with the checkout as it is now, and the table says how many they were. Results are kept in
~/.cache/shapleycam-versions, or the folder that SHAPLEYCAM_VERSIONS names; the table of all of them is printed, and
written to bench/results/versions.md. Needs uv, and packaging in the Python that runs this.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET  # what pytest itself has just written

from packaging.utils import canonicalize_name

from version_cells import (
    PROJECT,
    PYTHONS,
    RESOLUTIONS,
    ROOT,
    WORK,
    Cell,
    declared,
    lower_bounds,
    row,
    saved_cells,
    table,
)

FAST = ("-m", "not slow and not ray")
TESTS_OF_EXTRA = {
    "hf": (
        *("models/test_hf.py", "models/test_outputs.py", "models/test_layout_guess.py", "models/test_zero_shot.py"),
        *("layers/test_layout_proofs.py", "tracing/test_nested.py", "tracing/test_hooks_of_the_layer.py"),
    ),
    "clip": ("models/test_zero_shot.py",),
    "datasets": ("experiments/datasets/test_dataset_huggingface.py", "experiments/datasets/test_dataset_contract.py"),
    "ray": ("cli/test_by_ray.py",),
    "web": ("web",),
    "docs": (),
    "dev": (
        *("test_peers.py", "test_notebooks.py", "experiments/test_storage.py", "explaining/test_fusing.py"),
        *("experiments/datasets/test_dataset_webdataset.py", "game/test_imputation.py", "values/test_exact.py"),
        *("metrics/test_metric_oracles.py", "values/test_interactions.py", "report/test_reports_in_a_browser.py"),
    ),
}
"""The test files of what each extra is for; the documentation is built."""


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
    python, cell.failure = environment / "bin/python", ""
    try:
        install(cell, environment)
        with TemporaryDirectory() as folder:
            explained = run(environment / "bin/shapleycam", "explain", cwd=Path(folder))
            cell.explained = explained.returncode == 0 and bool(list(Path(folder).glob("*.png")))
            if not cell.explained:
                cell.failure = f"explain: {explained.stderr[-2000:]}"
            if cell.extra == "docs":
                checked("docs", environment / "bin/mkdocs", "build", "--strict", "--site-dir", folder)
        if arguments := tests_of(cell):
            cell.outcomes, cell.failed = run_tests(cell, python, arguments)
    except RuntimeError as error:
        cell.failure = str(error)
    cell.seconds = time.perf_counter() - start


def install(cell: Cell, environment: Path) -> None:
    """Make an environment, and install into it what the cell is for.

    Raises:
        RuntimeError: that cannot be installed.
    """
    python, cache = environment / "bin/python", {"UV_CACHE_DIR": str(WORK / "cache")}
    compiled = [word for requirement in declared("") for word in ("--only-binary", requirement.name)]
    checked("venv", "uv", "venv", "--clear", "--python", cell.python, environment, **cache)
    constrained = WORK / "cells" / f"{cell.name}.constraints"
    constrained.write_text(constraints(cell), encoding="utf-8")
    pip = ("uv", "pip", "install", "--python", python, "--reinstall-package", PROJECT["name"], "-c", constrained)
    checked("install", *pip, "--resolution", cell.resolution, *compiled, cell.requirements, **cache)
    listed = checked("list", "uv", "pip", "list", "--python", python, "--format", "json", **cache)
    cell.versions = {canonicalize_name(entry["name"]): entry["version"] for entry in json.loads(listed)}


def run_failed(cell: Cell) -> None:
    """Run the tests again that failed in a cell, with the checkout as it is now; its environment must be there.

    Raises:
        RuntimeError: they cannot be run.
    """
    environment = WORK / "environments" / cell.name
    python = environment / "bin/python"
    if not python.exists():
        install(cell, environment)
    pip = ("uv", "pip", "install", "--python", python, "--no-deps", "--reinstall-package", PROJECT["name"])
    checked("install", *pip, ".", UV_CACHE_DIR=str(WORK / "cache"))
    outcomes, failed = run_tests(cell, python, cell.failed)
    again = len(cell.failed)
    kept = Counter(cell.outcomes) - Counter(failure=again, error=again)
    cell.outcomes, cell.failed = dict(kept + Counter(outcomes)), failed
    cell.rerun += again


def tests_of(cell: Cell) -> list[str]:
    """Return pytest's arguments for a cell; none where nothing is to be run."""
    if cell.selected is not None:
        return [*cell.selected, *FAST] if cell.selected else []
    if not cell.extra:
        return list(FAST)
    files = [f"tests/{name}" for name in TESTS_OF_EXTRA[cell.extra]]
    return [*files, *FAST] if cell.extra == "web" else files


def run_tests(cell: Cell, python: Path, arguments: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Run tests, and return how many ended in which way, and the names of those that failed.

    Raises:
        RuntimeError: they could not be run.
    """
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
    return dict(outcomes), re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)


def main() -> None:
    """Run the cells that are asked for, and print the table of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=PYTHONS, help="versions, such as 3.11")
    parser.add_argument("--resolution", nargs="+", default=RESOLUTIONS, choices=RESOLUTIONS)
    parser.add_argument("--extras", nargs="*", choices=TESTS_OF_EXTRA, help="one by one; all where none is named")
    parser.add_argument("--tests", nargs="*", help="these instead of the usual ones; none without a path")
    parser.add_argument("--again", action="store_true", help="run cells also where nothing has changed")
    parser.add_argument("--failed", action="store_true", help="run only the tests that failed again")
    parser.add_argument("--print", action="store_true", help="run nothing, print the table")
    options = parser.parse_args()
    (WORK / "cells").mkdir(parents=True, exist_ok=True)
    extras = [""] if options.extras is None else options.extras or list(TESTS_OF_EXTRA)
    known = {(cell.name, cell.checkout, str(cell.selected)) for cell in saved_cells() if not options.again}
    combinations = itertools.product(options.python, options.resolution, extras)
    cells = [Cell(*each, checkout=checkout(), selected=options.tests) for each in combinations]
    if options.failed:
        names = {cell.name for cell in cells}
        cells = [cell for cell in saved_cells() if cell.name in names and cell.failed]
    for cell in [] if options.print else cells:
        if not options.failed and (cell.name, cell.checkout, str(cell.selected)) in known:
            continue
        print(f"{cell.name} ...", file=sys.stderr, flush=True)
        (run_failed if options.failed else measure)(cell)
        (WORK / "cells" / f"{cell.name}.json").write_text(json.dumps(asdict(cell)), encoding="utf-8")
        print(f"    {row(cell)} {cell.failure}", file=sys.stderr, flush=True)
    text = table(saved_cells())
    (ROOT / "bench/results/versions.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
