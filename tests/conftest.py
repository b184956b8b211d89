"""What all tests share: run-time shape checks, real photographs, the default model, the command line."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from jaxtyping import install_import_hook

CHECKED = ["models", "layers", "utilities", "game", "values", "cams"]
CHECKED += [f"metrics.{part}" for part in ("confidence", "maps", "stability", "removal", "masking", "imputation")]
"""Parts whose annotations are checked at run time, for good, since most of the package is imported when it is used.

Of the others the tests hand wrong types on purpose, to see what the user is told.
"""
install_import_hook([f"shapleycam.{part}" for part in CHECKED], "beartype.beartype")

import shapleycam  # noqa: E402
from shapleycam import cli  # noqa: E402
from shapleycam.models import zoo  # noqa: E402

QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
"""What keeps Chromium from asking anybody for anything by itself."""
DATA_VARIABLE = "SHAPLEYCAM_TEST_DATA"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real photographs and reference results."""
    found = Path(os.environ.get(DATA_VARIABLE) or Path(__file__).parents[1] / "../shared/data").resolve()
    if not (found / "reference").is_dir():
        pytest.skip(f"no test data in {found}: set {DATA_VARIABLE} to the folder that holds reference/")
    return found


@pytest.fixture(scope="session")
def photos(data: Path) -> list[Path]:
    """The eight photographs of the reference results, 224 x 224."""
    return sorted((data / "reference/crops").glob("*.png"))


@pytest.fixture(scope="session")
def hopper() -> Path:
    """The photograph that ships with matplotlib, so that tests without the data folder have a real one too."""
    return cli.photographs.demo_photo()


@pytest.fixture(scope="session")
def explainer() -> shapleycam.Explainer:
    """The default model; tests leave it as they found it."""
    return shapleycam.Explainer(zoo.DEFAULT, device="cpu")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser, for as long as a module: its loop must not run beside a notebook's."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None and "CI" not in os.environ:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def images() -> torch.Tensor:
    """Two images of noise, the same in each test."""
    return torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Ran:
    """What a command left."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Runs `shapleycam ARGS` as the installed command does, in an empty folder."""
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
