"""What all tests share: workers, run-time shape checks, real photographs, the default model, the command line."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores; torch reads this when it is imported
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"  # read at import; without it a hub that cannot be reached is tried for 20 seconds
os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's own 15 lets the other worker of the tests starve its actors

import pytest
from hypothesis import settings

from helpers import checked_calls, slow_tests

if TYPE_CHECKING:
    import torch

    import shapleycam

sys.dont_write_bytecode = False  # else each process, of hundreds that the tests start, compiles the package anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

CHECKED = ["models", "layers", "utilities", "game", "values", "cams"]
CHECKED += [f"metrics.{part}" for part in ("confidence", "maps", "stability", "removal", "masking")]
"""Parts whose annotations are checked at run time, for good, since most of the package is imported when it is used.

Of the others the tests hand wrong types on purpose, to see what the user is told.
"""
checked_calls.install([f"shapleycam.{part}" for part in CHECKED])

settings.register_profile("shapleycam", deadline=None)  # no test depends on how busy the machine is
settings.load_profile("shapleycam")

DATA_VARIABLE = "SHAPLEYCAM_TEST_DATA"

WORKERS = 2
GROUPS = {
    "experiments/engines/": "processes",
    "cli/test_by_ray.py": "processes",
    "web/": "browser",
    "report/test_reports_in_a_browser.py": "browser",
    "explanations/test_notebook_in_a_browser.py": "browser",
    "docs_site/": "documentation",
}
"""Beginnings of files whose tests stay on one worker: Ray's clusters, the page's server with Chromium, the site."""
TRIED_TWICE = {"processes", "browser"}
"""Groups whose tests run once more where they fail: docs/decisions.md, "Tests of other programs are tried twice"."""
SINGLE = ("test_survey.py", "test_real_models.py")
"""Files whose tests are long and share no fixture, so that any worker may take any of them."""
FIRST = (
    *("experiments/engines/", "test_readme.py", "experiments/test_crashes.py", "test_docs.py", "test_conformance.py"),
    *("test_survey.py", "web/", "report/", "test_notebooks.py", "cli/"),
)
"""Files that take longest: begun first, so that no worker is left alone with one at the end.

Ray's come first and the page's when they are nearly done, since both start processes of their own.
"""


def group_of(nodeid: str) -> str:
    """Return the name of the group of a test; a group is run by one worker, which makes its fixtures once."""
    file = nodeid.partition("::")[0].removeprefix("tests/")
    if file in SINGLE:
        return nodeid
    return next((group for beginning, group in GROUPS.items() if file.startswith(beginning)), file)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run folders by two workers, and files that are named in this process, where a debugger can be used."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return 0 if all(".py" in argument for argument in config.args) else WORKERS


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out the tests of a group together."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, the order inside a file stays; mark what is slow."""

    def place(item: pytest.Item) -> int:
        file = item.nodeid.removeprefix("tests/")
        return next((place for place, beginning in enumerate(FIRST) if file.startswith(beginning)), len(FIRST))

    items.sort(key=place)
    for item in items:
        if group_of(item.nodeid) in TRIED_TWICE:
            item.add_marker(pytest.mark.flaky(reruns=1))
        if slow_tests.is_slow(item.nodeid):
            item.add_marker("slow")


def pytest_runtest_logstart(nodeid: str) -> None:
    """Check the first calls of each function in this test, if it is one of those that are checked."""
    checked_calls.begin_test(nodeid)


def pytest_collection_finish() -> None:
    """Leave out what is there before the tests begin when Python looks for garbage, which takes half a second else."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Give it back, so that it is freed at the end: libraries tell of what is not."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real photographs and reference results."""
    folder = Path(os.environ.get(DATA_VARIABLE) or Path(__file__).parents[1] / "../shared/data").resolve()
    if not (folder / "reference").is_dir():
        pytest.skip(f"no test data in {folder}: set {DATA_VARIABLE} to the folder that holds reference/")
    return folder


@pytest.fixture(scope="session")
def photos(data: Path) -> list[Path]:
    """The eight photographs of the reference results, 224 x 224."""
    return sorted((data / "reference/crops").glob("*.png"))


@pytest.fixture(scope="session")
def hopper() -> Path:
    """The photograph that ships with matplotlib, so that tests without the data folder have a real one too."""
    from shapleycam.cli import photographs

    return photographs.demo_photo()


@pytest.fixture(scope="session")
def explainer() -> shapleycam.Explainer:
    """The default model; tests leave it as they found it."""
    import shapleycam
    from shapleycam.models import zoo

    return shapleycam.Explainer(zoo.DEFAULT, device="cpu")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser, for as long as a module: its loop must not run beside a notebook's."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra dev")
    from helpers.chromium import chromium_path, launch

    if chromium_path() is None and "CI" not in os.environ:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


@pytest.fixture
def images() -> torch.Tensor:
    """Two images of noise, the same in each test."""
    import torch

    return torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Ran:
    """The exit code and output of a command."""

    code: int
    out: str
    err: str


_loaded: list[shapleycam.Network] = []
"""The default network of this worker, once a command has asked for it."""


@pytest.fixture
def one_default_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load the default network once a worker: explaining leaves it as it is, and what was proven of it is kept."""
    from shapleycam.models import zoo

    load = zoo.load_lite_network

    def load_once(name: str, *, pretrained: bool) -> shapleycam.Network:
        if name != zoo.DEFAULT or not pretrained:
            return load(name, pretrained=pretrained)
        if not _loaded:
            _loaded.append(load(name, pretrained=True))
        return _loaded[0]

    monkeypatch.setattr(zoo, "load_lite_network", load_once)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, one_default_network: None):
    """Runs `shapleycam ARGS` as the installed command does, in an empty folder."""
    from shapleycam import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")

    def command(*args: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["shapleycam", *map(str, args)])
        code = 0
        try:
            cli.main()
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return command
